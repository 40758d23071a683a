"""An authority is changed under calls: a real operator, router, API server; the test is kubelet."""

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from cluster_house import ADDRESSES, PodWorker
from operator_stage import Api, Json, Space, operator
from real_house import RealHouse, real_house
from router_house import SECONDS, echo

from pythonpool_operator.certificates import from_secret
from pythonpool_operator.rotation import read_keys

FLAGS = ("--link-secret", "keys", "--rotate-links", "--link-overlap-seconds", "2")
BEGIN = "-----BEGIN CERTIFICATE-----"


class Files:
    """The Secret and the ConfigMap, and the files that a kubelet makes of them."""

    def __init__(self, house: RealHouse) -> None:
        self._house = house
        self._folder = f"/api/v1/namespaces/{house.namespace}"

    @property
    def data(self) -> dict[str, str]:
        return dict(self._house.space.api.get(f"{self._folder}/secrets/keys").get("data") or {})

    @property
    def published(self) -> str:
        found = self._house.space.api.find(f"{self._folder}/configmaps/pythonpool-link-ca")
        return str(found["data"]["ca.crt"]) if found else ""

    def to_router(self) -> None:
        """What routers read at the next handshake."""
        for name in ("tls.key", "tls.crt"):
            fresh = self._house.certificate / f"{name}.new"
            fresh.write_text(from_secret(self.data, name))
            fresh.rename(self._house.certificate / name)

    def rotate(self) -> None:
        change = {"metadata": {"annotations": {"pythonpool.dev/rotate": "authority"}}}
        self._house.space.api.ask("PATCH", f"{self._folder}/secrets/keys", change)


async def dialled(house: RealHouse, pod: Json, authorities: str) -> PodWorker:
    """A worker that trusts these authorities and whom the router has greeted."""
    context = ssl.create_default_context(cadata=authorities)
    async with asyncio.timeout(4 * SECONDS):
        while True:
            worker = _worker(house, pod)
            await asyncio.get_running_loop().create_connection(
                partial(_same, worker),
                ADDRESSES[0],
                house.link_port,
                ssl=context,
                server_hostname=f"pythonpool-links.{house.namespace}.svc",
            )
            ends: list[asyncio.Future[Any]] = [worker.greeted, worker.lost]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if worker.greeted.done():
                return worker
            await asyncio.sleep(0.02)  # the watch has not brought its pod yet


def _worker(house: RealHouse, pod: Json) -> PodWorker:
    token = house.bound_token(pod)
    return PodWorker("shop", name=pod["metadata"]["name"], token=token, on_call=echo)


def _same(worker: PodWorker) -> PodWorker:
    return worker


async def until(what: Callable[[], Any]) -> None:
    async with asyncio.timeout(30):
        while not what():
            await asyncio.sleep(0.05)


async def test_a_new_authority_costs_no_call(api: Api, space: Space) -> None:
    space.make()
    body = {"metadata": {"name": "keys"}}
    api.ask("POST", f"/api/v1/namespaces/{space.name}/secrets", body)
    flags = ("--namespace", space.name, "--resync-seconds", "0.5", *FLAGS)
    with operator(api, *flags):
        async with real_house(space) as house:
            files = Files(house)
            await until(lambda: files.published)
            files.to_router()
            await house.start()
            pods = [house.make_pod(f"shop-{number}") for number in range(3)]
            old = files.published
            await house.until(lambda state: state["name"] == "shop", "shop")
            first = await dialled(house, pods[0], old)
            statuses: list[int] = []
            calls = asyncio.create_task(_call_for_ever(house, statuses))

            files.rotate()
            await until(lambda: files.published.count(BEGIN) == 2)
            both = files.published
            assert from_secret(files.data, "ca.crt") == both
            before_use = await dialled(house, pods[1], old)
            await until(lambda: _is_used(files.data))
            files.to_router()
            new = BEGIN + both.split(BEGIN)[1]
            after = await dialled(house, pods[2], new)

            count = len(statuses)
            await until(lambda: len(statuses) > count + 20)
            calls.cancel()
            assert set(statuses) == {200}
            assert not any(each.lost.done() for each in (first, before_use, after))


def _is_used(data: dict[str, str]) -> bool:
    keys = read_keys(data)
    return keys is not None and not keys.is_changing


async def _call_for_ever(house: RealHouse, statuses: list[int]) -> None:
    while True:
        statuses.append((await house.execute("shop", "echo", b"{}")).status)
