"""One operator's life: idle, started again, cut off; on a real API server."""

from pathlib import Path

import pytest
from operator_stage import Api, OperatorProcess, Space, operator, wait
from relay import Relay

from pythonpool_operator.cluster import connect
from pythonpool_operator.kinds import DEPLOYMENT, POOL, POOL_LABEL, Key
from pythonpool_operator.listing import list_all, prune
from pythonpool_operator.settings import Api as ServerAddress
from pythonpool_operator.store import Store

MANY = 50


def test_the_name_is_used_once_it_is_free(api: Api, space: Space) -> None:
    path = f"/api/v1/namespaces/{space.name}/serviceaccounts"
    space.api.ask("POST", path, {"metadata": {"name": "pythonpool-shop"}})
    with operator(api, "--namespace", space.name, "--resync-seconds", "0.5"):
        space.make()
        space.wait_for("Degraded", "NameTaken")

        space.api.ask("DELETE", f"{path}/pythonpool-shop")

        space.wait_for("Degraded", "AsExpected")
        space.deployment()


def test_a_values_other_form_is_no_change(api: Api, space: Space) -> None:
    """An API server shows 1024Mi of a user's own volume as 1Gi; that must not write for ever."""
    with operator(api, "--namespace", space.name, "--resync-seconds", "0.3") as running:
        volume = {"name": "cache", "emptyDir": {"sizeLimit": "1024Mi"}}
        space.make(pod={"volumes": [volume]})
        space.settled()
        before = api.writes()

        look_again(running, 10)

        assert api.writes() == before


def look_again(running: OperatorProcess, times: int) -> None:
    """Wait until it has looked that often more."""
    until = running.looks() + times
    wait(lambda: running.looks() >= until)


@pytest.mark.timeout(180)
def test_idle_means_idle(api: Api, space: Space) -> None:
    """Many pools, looked at again and again: not one request that writes, no-ops included."""
    with operator(api, "--namespace", space.name, "--resync-seconds", "1") as running:
        for number in range(MANY):
            space.make(f"pool-{number}")
        for number in range(MANY):
            space.settled(f"pool-{number}")
        look_again(running, MANY)
        before = api.writes()

        look_again(running, 4 * MANY)

        assert api.writes() == before
        assert running.stop() == 0

    with operator(api, "--namespace", space.name) as again:
        api.wait(lambda: again.looks() >= MANY)
        assert api.writes() == before, "a new operator finds all as it should be"


def test_a_new_token_is_taken_over(api: Api, space: Space) -> None:
    """Kubernetes gives a new one each hour, and refuses the old one soon after."""
    with operator(api, "--namespace", space.name) as running:
        running.token_file.write_text("wrong\n")
        space.make()
        api.wait(lambda: "401" in running.log.read_text())

        running.token_file.write_text(f"{api.token}\n")

        space.settled()


def test_probes_and_metrics_are_served(api: Api, space: Space) -> None:
    with operator(api, "--namespace", space.name) as running:
        api.wait(lambda: running.ask("/readyz").status == 200)

        assert running.ask("/livez").status == 200
        text = running.metrics()
        assert "# TYPE pythonpool_reconcile_seconds histogram" in text
        assert 'pythonpool_build_info{part="operator"' in text


def test_it_goes_on_after_the_api_server_was_away(api: Api, space: Space) -> None:
    host, _, port = api.url.removeprefix("https://").partition(":")
    with Relay((host, int(port))) as relay:
        through = f"https://127.0.0.1:{relay.port}"
        with operator(api, "--namespace", space.name, "--api-server", through) as running:
            space.make("before")
            space.settled("before")

            relay.cut()
            space.make("meanwhile")
            api.ask("DELETE", space.path("networkpolicies", "before"))
            api.wait(lambda: "attempt #2 failed" in running.log.read_text())
            assert running.ask("/livez").status == 200
            relay.mend()

            space.settled("meanwhile")
            api.wait(lambda: api.find(space.path("networkpolicies", "before")))
            assert running.process.poll() is None


async def test_what_vanished_unseen_is_forgotten(api: Api, space: Space, tmp_path: Path) -> None:
    """After a watch gap no event tells of it: a pool would stay for good, a child be missed."""
    token = tmp_path / "token"
    token.write_text(api.token)
    space.make("there")
    store = Store()
    store.put(POOL, space.pool("there"))
    for name in ("gone", "there"):
        meta = {"name": name, "namespace": space.name, "uid": f"u-{name}"}
        store.put(DEPLOYMENT, {"metadata": meta | {"labels": {POOL_LABEL: name}}})
    gone = {"metadata": {"name": "gone", "namespace": space.name, "uid": "u"}}
    store.put(POOL, gone)
    changed: list[Key] = []

    async with connect(ServerAddress(api.url, token, api.ca_file)) as cluster:
        await prune(cluster, store, (space.name,), changed.append)
        assert set(changed) == {Key(space.name, "gone"), Key(space.name, "there")}
        assert store.pools() == [Key(space.name, "there")]
        assert list(store.known(DEPLOYMENT)) == []

        await list_all(cluster, store, (space.name,))
        assert store.pools() == [Key(space.name, "there")]

        changed.clear()
        await prune(cluster, store, (), changed.append)
        assert changed == []
