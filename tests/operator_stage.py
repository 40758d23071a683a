"""A real operator process against a real API server; the test plays the controllers and kubelets.

There are no nodes and no controllers: what they would write, `deployment_status` and `pod` write.
"""

import json
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3
from cluster.kube.access import token_of
from cluster.kube.apiserver import ApiServer

Json = dict[str, Any]

PATIENCE = 15.0
"""Seconds that a test waits for what the operator should do."""
PAUSE = 0.05

POOLS = "/apis/pythonpool.dev/v1alpha1/namespaces/{}/pythonpools"
DEPLOYMENTS = "/apis/apps/v1/namespaces/{}/deployments"
_IS_WRITE = re.compile(
    r'resource="(pythonpools|deployments|serviceaccounts|configmaps|poddisruptionbudgets'
    r'|networkpolicies|pods|events)".*verb="(POST|PUT|PATCH|APPLY|DELETE)"'
)
_STRATEGIC = "application/strategic-merge-patch+json"
_MERGE = "application/merge-patch+json"


class Refused(Exception):
    """The API server has refused; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """Plain HTTP with the API server, as its administrator or with another token."""

    def __init__(self, server: ApiServer, token: str = "") -> None:
        config = json.loads(server.kubeconfig.read_text())
        self.url = server.url
        self.ca_file = Path(config["clusters"][0]["cluster"]["certificate-authority"])
        self.token = token or token_of(server.kubeconfig)
        self._http = urllib3.PoolManager(ca_certs=str(self.ca_file), maxsize=8)

    def ask(
        self, method: str, path: str, body: Json | None = None, content_type: str = _MERGE
    ) -> Json:
        """One request; `Refused` from 400 on."""
        answer = self._http.request(
            method,
            self.url + path,
            body=json.dumps(body).encode() if body is not None else None,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": content_type if method == "PATCH" else "application/json",
            },
        )
        content: Json = json.loads(answer.data)
        if answer.status >= 400:
            raise Refused(answer.status, content.get("message", ""))
        return content

    def get(self, path: str) -> Json:
        """The object at this path."""
        return self.ask("GET", path)

    def find(self, path: str) -> Json | None:
        """The object at this path, or None."""
        try:
            return self.get(path)
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def items(self, path: str) -> list[Json]:
        """The objects of a collection."""
        return list(self.get(path)["items"])

    def writes(self) -> int:
        """Requests so far, by anybody, that would change one of the operator's kinds."""
        answer = self._http.request(
            "GET", f"{self.url}/metrics", headers={"Authorization": f"Bearer {self.token}"}
        )
        found = 0.0
        for line in answer.data.decode().splitlines():
            if line.startswith("apiserver_request_total{") and _IS_WRITE.search(line):
                found += float(line.rpartition(" ")[2])
        return int(found)

    def wait(self, what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """What `what` returns when that is true for the first time."""
        return wait(what, seconds)


def wait(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """What `what` returns when that is true for the first time."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s")
        time.sleep(PAUSE)


@dataclass
class Space:
    """A namespace, and what a test does in it."""

    api: Api
    name: str
    count: int = field(default=0)

    def make(self, name: str = "shop", **spec: Any) -> Json:
        """Create a PythonPool."""
        body = {
            "apiVersion": "pythonpool.dev/v1alpha1",
            "kind": "PythonPool",
            "metadata": {"name": name},
            "spec": {"adapter": "general"} | spec,
        }
        return self.api.ask("POST", POOLS.format(self.name), body)

    def change(self, name: str = "shop", **spec: Any) -> Json:
        """Change fields of its spec."""
        return self.api.ask("PATCH", f"{POOLS.format(self.name)}/{name}", {"spec": spec})

    def pool(self, name: str = "shop") -> Json:
        """The live PythonPool."""
        return self.api.get(f"{POOLS.format(self.name)}/{name}")

    def path(self, kind: str, name: str = "shop") -> str:
        """Path of one of the pool's objects, by its plural."""
        group = {
            "deployments": "apis/apps/v1",
            "serviceaccounts": "api/v1",
            "configmaps": "api/v1",
            "pods": "api/v1",
            "poddisruptionbudgets": "apis/policy/v1",
            "networkpolicies": "apis/networking.k8s.io/v1",
        }[kind]
        full = f"pythonpool-{name}" if kind in ("serviceaccounts", "configmaps") else name
        return f"/{group}/namespaces/{self.name}/{kind}/{full}"

    def deployment(self, name: str = "shop") -> Json:
        """The pool's Deployment, waited for."""
        return dict(self.api.wait(lambda: self.api.find(self.path("deployments", name))))

    def deployment_status(self, name: str = "shop", **status: Any) -> None:
        """What the Deployment's controller would write."""
        live = self.deployment(name)
        status = {"observedGeneration": live["metadata"]["generation"]} | status
        self.api.ask("PATCH", self.path("deployments", name) + "/status", {"status": status})

    def pod(self, status: Json, pool: str = "shop") -> str:
        """A pod of the pool with this status, as a kubelet would write it; its name."""
        self.count += 1
        name = f"{pool}-{self.count}"
        template = self.deployment(pool)["spec"]["template"]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": template["metadata"] | {"name": name},
            "spec": template["spec"] | {"serviceAccountName": f"pythonpool-{pool}"},
        }
        self.api.ask("POST", f"/api/v1/namespaces/{self.name}/pods", body)
        path = f"/api/v1/namespaces/{self.name}/pods/{name}/status"
        self.api.ask("PATCH", path, {"status": status}, _STRATEGIC)
        return name

    def settled(self, name: str = "shop") -> Json:
        """The pool, when its newest spec has been looked at."""

        def seen() -> Json | None:
            pool = self.pool(name)
            observed = pool.get("status", {}).get("observedGeneration")
            return pool if observed == pool["metadata"]["generation"] else None

        return dict(self.api.wait(seen))

    def condition(self, kind: str, name: str = "shop") -> Json:
        """A condition of the pool; empty before there is one."""
        conditions = self.pool(name).get("status", {}).get("conditions", [])
        return next((each for each in conditions if each["type"] == kind), {})

    def wait_for(self, kind: str, reason: str, name: str = "shop") -> Json:
        """Wait until a condition has this reason."""

        def has_reason() -> Json | None:
            found = self.condition(kind, name)
            return found if found.get("reason") == reason else None

        return dict(self.api.wait(has_reason))


def new_space(api: Api, name: str) -> Space:
    """A new namespace named after a test; tests of other files may have the same name."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    label = f"{plain[-50:].strip('-')}-{secrets.token_hex(2)}"
    api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": label}})
    # Made by a controller elsewhere.
    accounts = f"/api/v1/namespaces/{label}/serviceaccounts"
    api.ask("POST", accounts, {"metadata": {"name": "default"}})
    return Space(api, label)


class OperatorProcess:
    """A running operator; `log` has what it said, `token_file` its token."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, token_file: Path) -> None:
        self.process = process
        self.log = log
        self.token_file = token_file

    @property
    def port(self) -> int:
        """Of /metrics."""
        for line in self.log.read_text().splitlines():
            if "metrics at port" in line:
                return int(line.rpartition(" ")[2])
        return 0

    def ask(self, path: str) -> urllib3.BaseHTTPResponse:
        """GET from its monitoring port."""
        return urllib3.request("GET", f"http://127.0.0.1:{self.port}{path}")

    def metrics(self) -> str:
        """The text of /metrics."""
        return self.ask("/metrics").data.decode()

    def looks(self) -> float:
        """How often it has looked at a pool without an error."""
        lines = self.metrics().splitlines()
        name = 'pythonpool_reconciles_total{result="ok"}'
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def operator(api: Api, *arguments: str, token: str = "") -> Iterator[OperatorProcess]:
    """Run `python -m pythonpool_operator` until the block ends; by default as administrator."""
    with tempfile.TemporaryDirectory(prefix="pp-") as folder:
        token_file = Path(folder) / "token"
        token_file.write_text(token or api.token)
        log = Path(folder) / "log"
        command = [
            *(sys.executable, "-m", "pythonpool_operator"),
            *(
                "--api-server",
                api.url,
                "--token-file",
                str(token_file),
                "--ca-file",
                str(api.ca_file),
            ),
            *("--agent-image", "core:1", "--worker-image", "general=general:1"),
            *("--worker-image", "neural=neural:1", "--worker-image", "neural-gpu=neural-gpu:1"),
            *("--monitoring-port", "0", *arguments),
        ]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=file, env=os.environ | {"PYTHONUNBUFFERED": "1"}
            )
        running = OperatorProcess(process, log, token_file)
        try:
            api.wait(lambda: running.port or process.poll() is not None, 60)
            yield running
        finally:
            process.kill()
            process.wait()
            # pytest shows it with a failure.
            print(*log.read_text().splitlines()[-60:], sep="\n")
