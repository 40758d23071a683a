"""One operator's life: idle, started again, cut off; on a real API server."""

from operator_stage import Api, OperatorProcess, Space, operator, wait

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
