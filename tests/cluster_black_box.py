"""What tests of one machine need to run unchanged against a router and workers in a cluster."""

import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import yaml
from cluster.kube.client import Cluster
from cluster_release import Release, manifest, release
from flows.house import wait_for

from pythonpool.client import Client


@dataclass(frozen=True, slots=True)
class FarHouse:
    """In place of a `House`: one release, whose address and token are asked for once.

    Attributes:
        routers: addresses of the routers, each by itself.
    """

    release: Release
    url: str
    token: str
    routers: tuple[str, ...]

    def client(self) -> Client:
        """A client with its token."""
        return Client(self.url, token=self.token)

    def router_connection(self, index: int) -> http.client.HTTPConnection:
        """A connection to one of its routers."""
        return http.client.HTTPConnection(self.routers[index], 8080, timeout=40)


def unchanged(module: ModuleType, **local: str) -> dict[str, Any]:
    """The tests of a module but those of one machine alone, each of which has a reason."""
    tests = {name: value for name, value in vars(module).items() if name.startswith("test_")}
    assert set(local) <= set(tests), set(local) - set(tests)
    return {name: value for name, value in tests.items() if name not in local}


@contextmanager
def far_house(
    cluster: Cluster,
    *texts: str,
    routers: int = 1,
    unready: frozenset[str] = frozenset(),
    files: dict[str, str] | None = None,
) -> Iterator[FarHouse]:
    """The pools of these manifests in a namespace of their own, ready but those that never are."""
    settings = (f"router.replicas={routers}", 'router.errors="Full"')
    with release(cluster, *settings, files=files) as made:
        pools = [pool for text in texts for pool in yaml.safe_load_all(text)]
        made.apply(*(_with_adapters(pool) for pool in pools))
        for pool in pools:
            name = pool["metadata"]["name"]
            if name not in unready:
                made.settled(name, pool["spec"].get("replicas", 1), 120)
        yield house_of(made)


def house_of(made: Release) -> FarHouse:
    """A release as the tests of one machine see it."""
    return FarHouse(made, made.url, made.token, tuple(place.host for place in made.routers))


def wait_until_degraded(made: FarHouse, name: str) -> None:
    """Wait until a router says that the pool can not serve."""

    def is_degraded() -> bool:
        with made.client() as client:
            conditions = client.pool(name)["conditions"]
        return any(each["type"] == "Degraded" and each["status"] == "True" for each in conditions)

    wait_for(is_degraded, 40)


def _with_adapters(pool: dict[str, Any]) -> dict[str, Any]:
    """The pool with an image that finds the adapters of the examples and tests."""
    pod = manifest("any")["spec"]["pod"]
    return {**pool, "spec": {**pool["spec"], "pod": pod}}
