"""Real routers as in a cluster: pools and pods from an API server, workers over TLS with tokens."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api_standin import NAMESPACE, StandIn, claims_of
from authority import Authority
from router_house import Caller, LinkWorker, RouterHouse

SERVICE = f"pythonpool-links.{NAMESPACE}.svc"
ADDRESSES = ("127.0.0.1", "127.0.0.2")
"""Of router 0 and router 1; both listen on the same port, as pods do."""

Json = dict[str, Any]


@dataclass
class PodWorker(LinkWorker):
    """A worker that shows its pod's token."""

    token: str = ""
    generation: int = 0

    def proof(self) -> dict[str, str]:
        return {"token": self.token}


def pool_object(name: str, **spec: Any) -> Json:
    """A PythonPool as the API server stores it, as far as routers care."""
    return {
        "apiVersion": "pythonpool.dev/v1alpha1",
        "kind": "PythonPool",
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"pool-{name}", "generation": 1},
        "spec": {"adapter": "general", **spec},
    }


def pod_object(name: str, pool: str, **status: Any) -> Json:
    """A pod of a worker, ready unless the status says otherwise."""
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "labels": {
                "app.kubernetes.io/name": "pythonpool",
                "app.kubernetes.io/component": "worker",
                "pythonpool.dev/pool": pool,
            },
        },
        "spec": {
            "serviceAccountName": f"pythonpool-{pool}",
            "initContainers": [{"name": "executors", "resources": {"limits": {"memory": "512Mi"}}}],
        },
        "status": {
            "phase": "Running",
            "startTime": "2026-01-31T12:00:00Z",
            "conditions": [{"type": "Ready", "status": "True"}],
            **status,
        },
    }


def router_pod(index: int) -> Json:
    """The pod of one of the routers."""
    return {
        "metadata": {
            "name": f"router-{index}",
            "namespace": NAMESPACE,
            "uid": f"uid-router-{index}",
            "labels": {
                "app.kubernetes.io/name": "pythonpool",
                "app.kubernetes.io/component": "router",
            },
        },
        "spec": {},
        "status": {"phase": "Running", "podIP": ADDRESSES[index]},
    }


def starting() -> Json:
    """The status of a pod that is not ready yet."""
    return {"conditions": [{"type": "Ready", "status": "False"}]}


class TlsHouse(RouterHouse):
    """An authority, routers on loopback that a kubeconfig leads to, and workers that dial them."""

    def __init__(self, folder: Path, namespace: str, kubeconfig: Path) -> None:
        super().__init__(folder)
        self.namespace = namespace
        self.kubeconfig = kubeconfig
        self.authority = Authority(folder / "authority")
        self.certificate = self.authority.issue(folder / "link", SERVICE, "localhost")
        self.link_port = free_port()
        self.monitoring_port = 0
        self.more_arguments: list[str] = []

    def home_arguments(self, index: int) -> list[str]:
        return [
            *("--namespace", self.namespace),
            *("--kubeconfig", str(self.kubeconfig)),
            *("--link", f"tls:{ADDRESSES[index]}:{self.link_port}"),
            *("--link-certificate", str(self.certificate)),
            *self.more_arguments,
        ]

    async def connect(self, worker: LinkWorker, index: int = 0) -> None:
        """Connect a worker by TLS, whatever the router says to it."""
        context = ssl.create_default_context(cafile=self.authority.file)
        await asyncio.get_running_loop().create_connection(
            lambda: worker,
            ADDRESSES[index],
            self.link_port,
            ssl=context,
            server_hostname=SERVICE,
        )
        self._open.append(worker)

    def monitored(self) -> tuple[str, str]:
        """Arguments of a router whose load is to be asked for."""
        self.monitoring_port = free_port()
        return "--monitoring", f"tcp:127.0.0.1:{self.monitoring_port}"

    async def load(self) -> dict[str, Json]:
        """What `/load` of the router's monitoring port says, by pool."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.monitoring_port)
        caller = Caller(reader, writer)
        caller.request("GET", "/load", Authorization="")
        reply = await caller.reply()
        await caller.close()
        assert reply.status == 200, reply.body
        return {pool["name"]: pool for pool in reply.json()["pools"]}

    async def ready(self, index: int = 0) -> int:
        """The status of /readyz."""
        return (await self.ask("GET", "/readyz", index=index)).status


class ClusterHouse(TlsHouse):
    """A house with a small API server of its own."""

    def __init__(self, folder: Path, api: StandIn) -> None:
        super().__init__(folder, NAMESPACE, api.kubeconfig(folder / "kubeconfig"))
        self.api = api

    def token(self, name: str, pool: str = "general", **changes: Any) -> str:
        """The token of a pod."""
        claims = claims_of(name, f"uid-{name}", f"pythonpool-{pool}", **changes)
        return self.api.signers[-1].token(claims)

    async def pod_worker(
        self, name: str, pool: str = "general", index: int = 0, **settings: Any
    ) -> PodWorker:
        """A worker in a pod that the API server knows; the router has greeted it."""
        while True:
            worker = PodWorker(pool, name=name, token=self.token(name, pool), **settings)
            await self.connect(worker, index)
            ends: list[asyncio.Future[Any]] = [worker.greeted, worker.lost]
            await asyncio.wait(ends, timeout=5.0, return_when=asyncio.FIRST_COMPLETED)
            if worker.greeted.done():
                return worker
            await asyncio.sleep(0.02)  # the watch has not brought its pod yet


def free_port() -> int:
    """A TCP port of loopback that nobody has, now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


@contextlib.asynccontextmanager
async def cluster_house(folder: Path) -> AsyncIterator[ClusterHouse]:
    """A house that is cleaned up, with its API server; routers are started by the test."""
    api = StandIn()
    await api.start()
    house = ClusterHouse(folder, api)
    try:
        yield house
    finally:
        await house.close()
        await api.stop()
