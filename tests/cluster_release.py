"""The chart installed on a real cluster, and what a test does with its pools and routers."""

import http.client
import json
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import yaml
from cluster.kube.client import Cluster
from cluster.kube.images import GENERAL
from cluster.kube.places import CHECKOUT
from cluster.kube.programs import program
from cluster.kube.steps import run
from flows.house import wait_for
from flows.whole import Answer

Json = dict[str, Any]

ADAPTERS = "adapters"
"""A ConfigMap with the example adapters, mounted where worker images look for modules."""


@dataclass(frozen=True, slots=True)
class Place:
    """A router, or the Service before all of them: where it is called and with which token."""

    host: str
    port: int
    token: str

    def send(self, method: str, path: str, body: Any = None) -> http.client.HTTPConnection:
        """A request that was sent on a connection of its own and whose answer nobody has read."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=40)
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Authorization": f"Bearer {self.token}"})
        return connection

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """One request."""
        return read(self.send(method, path, body))

    def run(self, pool: str, command: str, args: Any = None, query: str = "") -> Answer:
        """One call."""
        return read(self.sent(pool, command, args, query))

    def sent(
        self, pool: str, command: str, args: Any = None, query: str = ""
    ) -> http.client.HTTPConnection:
        """One call that runs beside the test; `read` has its answer."""
        return self.send("POST", f"/v1/pools/{pool}/execute/{command}?{query}", args or {})

    def in_session(self, handle: str, command: str, args: Any = None) -> Answer:
        """One call on a session's state."""
        return self.ask("POST", f"/v1/sessions/{handle}/execute/{command}", args or {})

    def pool(self, name: str) -> Json:
        """The pool, as this router shows it."""
        shown: Json = self.ask("GET", f"/v1/pools/{name}").json
        return shown


def read(connection: http.client.HTTPConnection) -> Answer:
    """The answer to a request that was sent before."""
    got = connection.getresponse()
    fields = {name.lower(): value for name, value in got.getheaders()}
    answer = Answer(got.status, fields, got.read())
    connection.close()
    return answer


@dataclass(frozen=True, slots=True)
class Release:
    """One installed chart, and the pools of its namespace."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *arguments: str, text_in: str | None = None) -> str:
        """kubectl in this namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments, text_in=text_in)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get` shows of this namespace."""
        return self.cluster.get("-n", self.namespace, *arguments)

    @property
    def service(self) -> Place:
        """The Service before all routers."""
        spec = self.get("service", "pythonpool-router")["spec"]
        return Place(spec["clusterIP"], spec["ports"][0]["port"], self.token)

    @property
    def url(self) -> str:
        """Of the Service."""
        service = self.service
        return f"http://{service.host}:{service.port}"

    @property
    def routers(self) -> list[Place]:
        """Each router by itself."""
        pods = self.get("pods", "-l", "app.kubernetes.io/component=router")["items"]
        return [
            Place(pod["status"]["podIP"], 8080, self.token)
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and "podIP" in pod["status"]
        ]

    @property
    def token(self) -> str:
        """What callers show."""
        template = "{{.data.token | base64decode}}"
        return self.kubectl("get", "secret", "pythonpool-callers", "-o", f"go-template={template}")

    def make(self, name: str, **spec: Any) -> None:
        """Apply a PythonPool of the troublesome adapter, or what `spec` says."""
        self.apply(manifest(name, **spec))

    def apply(self, *pools: Json) -> None:
        """Apply PythonPools as they are."""
        items = {"apiVersion": "v1", "kind": "List", "items": list(pools)}
        self.kubectl("apply", "-f", "-", text_in=json.dumps(items))

    def change(self, name: str, **spec: Any) -> None:
        """Change fields of a pool's spec."""
        patch = json.dumps({"spec": spec})
        self.kubectl("patch", "pythonpool", name, "--type=merge", "-p", patch)

    def settled(self, name: str, ready: int, seconds: float = 60.0) -> None:
        """Wait until so many workers of a pool are there and ready, made from its newest spec."""

        def is_settled() -> bool:
            pool = self.get("pythonpool", name)
            status = pool.get("status", {})
            return (
                status.get("observedGeneration") == pool["metadata"]["generation"]
                and (status["readyReplicas"], status["replicas"]) == (ready, ready)
                and condition(pool, "Progressing")["status"] == "False"
            )

        wait_for(is_settled, seconds)

    def remove(self, name: str) -> None:
        """Delete a pool; its pods end by themselves."""
        self.kubectl("delete", "pythonpool", name, "--ignore-not-found")

    def workers(self, name: str) -> list[Json]:
        """The pods of a pool that are not being deleted."""
        pods: list[Json] = self.get("pods", "-l", f"pythonpool.dev/pool={name}")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


def manifest(name: str, **spec: Any) -> Json:
    """A PythonPool of the troublesome adapter, or what `spec` says."""
    files = [{"name": ADAPTERS, "configMap": {"name": ADAPTERS}}]
    mounts = [{"name": ADAPTERS, "mountPath": "/opt/adapters", "readOnly": True}]
    usual = {
        "adapter": "troubles:Troubles",
        "timeoutSeconds": 20,
        "maxTimeoutSeconds": 60,
        "sessions": {"drainSeconds": 5},
        "resources": {"memory": "256Mi"},
        "pod": {
            "image": GENERAL.reference,
            "volumes": files,
            "volumeMounts": mounts,
        },
    }
    return {
        "apiVersion": "pythonpool.dev/v1alpha1",
        "kind": "PythonPool",
        "metadata": {"name": name},
        "spec": {**usual, **spec},
    }


def condition(pool: Json, kind: str) -> Json:
    """A condition of the pool; empty before there is one."""
    conditions: list[Json] = pool.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


@contextmanager
def release(
    cluster: Cluster, *settings: str, files: dict[str, str] | None = None
) -> Iterator[Release]:
    """Install the chart into a new namespace that admits restricted pods alone.

    Args:
        settings: values as `PATH=JSON`; none of the chart's pools is made unless they name it.
        files: modules of adapters, besides those of the examples.
    """
    name = f"test-release-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    made = Release(cluster, name)
    try:
        modules = (*(CHECKOUT / "examples").glob("*.py"), CHECKOUT / "tests" / "prying.py")
        data = {path.name: path.read_text() for path in modules} | (files or {})
        metadata = {"name": ADAPTERS, "namespace": name}
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
        install(made, *settings)
        _check_way(made)
        yield made
    finally:
        made.kubectl("delete", "pythonpools", "--all", "--wait=false")
        helm(made, "uninstall", "pythonpool", "--ignore-not-found")
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def _check_way(made: Release) -> None:
    """Skip where the addresses of a cluster that is not ours do not lead there."""
    service = made.service
    try:
        socket.create_connection((service.host, service.port), 5).close()
    except OSError as error:
        if made.cluster.is_ours:
            raise
        where = f"{service.host}:{service.port}"
        pytest.skip(
            f"it calls Services and pods by address, and {where} can not be reached: {error}"
        )


def install(made: Release, *settings: str, verb: str = "install") -> str:
    """`helm install` (or another verb) this checkout's chart and wait for it; without pools."""
    registry, _, tag = GENERAL.reference.partition("/worker-general:")
    values: Json = {
        "image": {"registry": registry, "tag": tag},
        "router": {"graceSeconds": 10},
        "pools": dict.fromkeys(("general", "optimizer", "neural")),
    }
    given = [word for setting in settings for word in ("--set-json", setting)]
    return helm(
        made,
        *(verb, "pythonpool", str(CHECKOUT / "helm"), *given),
        *("--values", "-", "--wait", "--timeout", "180s"),
        text_in=yaml.safe_dump(values),
    )


def helm(made: Release, *arguments: str, text_in: str | None = None) -> str:
    """Run helm in the release's namespace; its stdout.

    Raises:
        Failed: it could not; with what it said.
    """
    own = program("helm")
    where = ("--namespace", made.namespace, "--kubeconfig", str(made.cluster.kubeconfig))
    return run(own if own.exists() else "helm", *arguments, *where, text_in=text_in)
