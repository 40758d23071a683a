"""A router with the chart's rights on a real API server, and workers with real tokens."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cluster_house import PodWorker, TlsHouse
from operator_stage import Space
from router_house import SECONDS

Json = dict[str, Any]

_CORE = "/api/v1/namespaces/{}"
_RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}"
_STRATEGIC = "application/strategic-merge-patch+json"


class RealHouse(TlsHouse):
    """A house whose router has the rights of the chart in a namespace of a real API server."""

    def __init__(self, folder: Path, space: Space) -> None:
        super().__init__(folder, space.name, folder / "kubeconfig")
        self.space = space
        self._grant()

    def _grant(self) -> None:
        """The Role of helm/templates/router.yaml."""
        ask, name = self.space.api.ask, "pythonpool-router"
        meta = {"metadata": {"name": name}}
        rules = [
            {"apiGroups": ["pythonpool.dev"], "resources": ["pythonpools"]},
            {"apiGroups": [""], "resources": ["pods"]},
        ]
        rules = [rule | {"verbs": ["list", "watch"]} for rule in rules]
        subject = {"kind": "ServiceAccount", "name": name, "namespace": self.namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        core, rbac = _CORE.format(self.namespace), _RBAC.format(self.namespace)
        ask("POST", f"{core}/serviceaccounts", meta)
        ask("POST", f"{rbac}/roles", meta | {"rules": rules})
        ask("POST", f"{rbac}/rolebindings", meta | {"roleRef": role, "subjects": [subject]})
        asked = ask("POST", f"{core}/serviceaccounts/{name}/token", {"spec": {}})
        cluster = {
            "server": self.space.api.url,
            "certificate-authority": str(self.space.api.ca_file),
        }
        content = {
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": asked["status"]["token"]}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        self.kubeconfig.write_text(json.dumps(content))

    def make_pod(self, name: str, pool: str = "shop") -> Json:
        """A ready pod of the pool, with its service account."""
        account, core = f"pythonpool-{pool}", _CORE.format(self.namespace)
        ask = self.space.api.ask
        if self.space.api.find(f"{core}/serviceaccounts/{account}") is None:
            ask("POST", f"{core}/serviceaccounts", {"metadata": {"name": account}})
        labels = {
            "app.kubernetes.io/name": "pythonpool",
            "app.kubernetes.io/component": "worker",
            "pythonpool.dev/pool": pool,
        }
        container = {"name": "agent", "image": "none"}
        spec = {"serviceAccountName": account, "containers": [container]}
        live = ask(
            "POST", f"{core}/pods", {"metadata": {"name": name, "labels": labels}, "spec": spec}
        )
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        ask("PATCH", f"{core}/pods/{name}/status", {"status": status}, _STRATEGIC)
        return live

    def bound_token(self, pod: Json, audience: str = "pythonpool-link") -> str:
        """What the kubelet would put into the pod."""
        meta, account = pod["metadata"], pod["spec"]["serviceAccountName"]
        bound = {"kind": "Pod", "apiVersion": "v1", "name": meta["name"], "uid": meta["uid"]}
        path = f"{_CORE.format(self.namespace)}/serviceaccounts/{account}/token"
        asked = {"spec": {"audiences": [audience], "boundObjectRef": bound}}
        return str(self.space.api.ask("POST", path, asked)["status"]["token"])

    async def bound_worker(self, pod: Json, **settings: Any) -> PodWorker:
        """A worker with that pod's token; the router has greeted it."""
        async with asyncio.timeout(4 * SECONDS):
            while True:
                name = pod["metadata"]["name"]
                worker = PodWorker("shop", name=name, token=self.bound_token(pod), **settings)
                await self.connect(worker)
                ends: list[asyncio.Future[Any]] = [worker.greeted, worker.lost]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if worker.greeted.done():
                    return worker
                await asyncio.sleep(0.02)


@asynccontextmanager
async def real_house(space: Space) -> AsyncIterator[RealHouse]:
    """A house that is cleaned up; routers are started by the test."""
    folder = Path(tempfile.mkdtemp(prefix="pp"))
    made = RealHouse(folder, space)
    try:
        yield made
    finally:
        await made.close()
        shutil.rmtree(folder)
