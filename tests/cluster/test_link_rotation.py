"""The links' authority is changed under calls, on real nodes: nobody notices, new ones use it."""

import base64
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from cluster.kube.client import Cluster
from cluster_release import Json, Place, Release, condition, read, release
from flows.house import wait_for

pytestmark = pytest.mark.timeout(300)

SECRET, BUNDLE = "pythonpool-link-keys", "pythonpool-link-ca"
OVERLAP_SECONDS = 25
BEGIN = "-----BEGIN CERTIFICATE-----"


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Iterator[Release]:
    """The chart, with a wait that a test can live through."""
    with release(cluster, f"links.overlapSeconds={OVERLAP_SECONDS}") as made:
        made.make("work", replicas=2)
        made.settled("work", 2, 90)
        yield made


def keys(installed: Release) -> dict[str, str]:
    data: dict[str, str] = installed.get("secret", SECRET)["data"]
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


def published(installed: Release) -> str:
    return str(installed.get("configmap", BUNDLE)["data"]["ca.crt"])


def refresh(installed: Release) -> None:
    """A kubelet looks at mounted files once a minute, and at once when its pod has changed."""
    text = f"refreshed={time.monotonic_ns()}"
    kinds = "app.kubernetes.io/component in (router, worker)"
    installed.kubectl("annotate", "pods", "-l", kinds, "--overwrite", text)


def shows_one_of(router: Place, namespace: str, authorities: str) -> bool:
    """Whether that router shows a certificate that one of these authorities has signed."""
    context = ssl.create_default_context(cadata=authorities)
    name = f"pythonpool-links.{namespace}.svc"
    try:
        with (
            socket.create_connection((router.host, 7443), 5) as plain,
            context.wrap_socket(plain, server_hostname=name),
        ):
            return True
    except ssl.SSLCertVerificationError:
        return False


def linked(router: Place) -> set[str]:
    listed: list[Json] = router.ask("GET", "/v1/pools/work/workers").json["items"]
    return {worker["name"] for worker in listed if worker["state"] == "ready"}


def test_a_new_authority_costs_no_call(installed: Release) -> None:
    service, namespace, routers = installed.service, installed.namespace, installed.routers
    before = keys(installed)
    old = before["ca.crt"]
    assert published(installed) == old
    done = Event()
    with ThreadPoolExecutor(1) as threads:
        calls = threads.submit(_call_until, done, service)
        try:
            long = service.sent("work", "sleep", {"seconds": 15})
            rotate = ("annotate", "secret", SECRET, "pythonpool.dev/rotate=authority")
            installed.kubectl(*rotate)

            wait_for(lambda: published(installed).count(BEGIN) == 2, 90)
            new = BEGIN + published(installed).split(BEGIN)[1]
            refresh(installed)
            assert new not in old
            assert all(shows_one_of(router, namespace, old) for router in routers)
            assert not any(shows_one_of(router, namespace, new) for router in routers)

            wait_for(lambda: keys(installed)["tls.crt"] != before["tls.crt"], OVERLAP_SECONDS + 90)
            refresh(installed)
            wait_for(lambda: all(shows_one_of(each, namespace, new) for each in routers), 120)
            assert installed.routers == routers, "no router was started anew"

            installed.change("work", replicas=3)
            installed.settled("work", 3)
            names = {pod["metadata"]["name"] for pod in installed.workers("work")}
            wait_for(lambda: all(linked(router) == names for router in routers))
            assert read(long).status == 200

            _replace_a_router(installed)
            wait_for(lambda: all(linked(router) == names for router in installed.routers), 60)
        finally:
            done.set()
        statuses = calls.result()

    assert len(statuses) > 100
    assert set(statuses) == {200}


def _replace_a_router(installed: Release) -> None:
    """What it has of old links goes with it: the old workers must dial the new one."""
    first, other = sorted(_routers(installed))
    installed.kubectl("delete", "pod", first, "--wait=false")

    def is_replaced() -> bool:
        now = _routers(installed)
        return len(now) == 2 and other in now and first not in now and all(now.values())

    wait_for(is_replaced, 60)


def _routers(installed: Release) -> dict[str, bool]:
    """Names of the routers that stay, and whether they are Ready."""
    pods = installed.get("pods", "-l", "app.kubernetes.io/component=router")["items"]
    return {
        pod["metadata"]["name"]: condition(pod, "Ready").get("status") == "True"
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }


def _call_until(done: Event, service: Place) -> list[int]:
    statuses = []
    while not done.wait(0.05):
        statuses.append(service.run("work", "sleep", {"seconds": 0}).status)
    return statuses
