"""What the operator concludes from live objects: pure, without an API server."""

from typing import Any

import pytest

from pythonpool_operator.causes import Cause, cause_of_pod, cause_of_pool, one_line
from pythonpool_operator.compare import fingerprint, is_level, project
from pythonpool_operator.conditions import Workers, count_workers, status_manifest, status_of
from pythonpool_operator.events import news
from pythonpool_operator.kinds import BUDGET, POOL
from pythonpool_operator.plan import is_leaving, is_ours, names_of, plan
from pythonpool_operator.settings import Api, Settings, parse

Json = dict[str, Any]

LIVE: Json = {
    "apiVersion": "pythonpool.dev/v1alpha1",
    "kind": "PythonPool",
    "metadata": {"name": "shop", "namespace": "here", "uid": "u-1", "generation": 3},
    "spec": {"adapter": "general"},
}
SETTINGS = Settings(Api("https://api", None, None), "core:1", {"general": "general:1"})


@pytest.mark.parametrize(
    ("desired", "live", "level"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {}, False),
        ({"a": {}}, {}, True),
        ({"a": []}, {"a": None}, True),
        ({"a": False}, {}, True),
        ({"a": [1, 2]}, {"a": [1, 2]}, True),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, False),
        ({"a": [{"name": "x", "v": 1}]}, {"a": [{"name": "y"}, {"name": "x", "v": 1}]}, True),
        ({"a": [{"name": "x", "v": 1}]}, {"a": [{"name": "y"}]}, False),
        ({"a": [{"name": "x"}]}, {"a": ["x"]}, False),
        ({"a": [{"mountPath": "/x"}]}, {"a": [{"mountPath": "/x", "readOnly": True}]}, True),
        ({"a": [{"to": 1}]}, {"a": [{"to": 1}, {"to": 2}]}, False),
        ({"a": [{"to": 1}]}, {"a": [{"to": 1, "by": 2}]}, True),
        ({"a": {"b": 1}}, {"a": "text"}, False),
    ],
)
def test_level_is_what_is_wanted_and_whatever_else(desired: Any, live: Any, level: bool) -> None:
    assert is_level(desired, live) is level


def test_a_projection_shows_drift_in_any_form() -> None:
    wanted = {"size": "1024Mi", "other": 1}

    assert project(wanted, {"size": "1Gi", "more": 2}) == {"size": "1Gi", "other": None}
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def pod(**status: Any) -> Json:
    return {"metadata": {"name": "shop-1"}, "status": status}


def ended(name: str = "executors", **terminated: Any) -> Json:
    last = {"terminated": terminated}
    return pod(containerStatuses=[{"name": name, "state": {}, "lastState": last}])


@pytest.mark.parametrize(
    ("live", "cause"),
    [
        (pod(), None),
        ({"metadata": {}}, None),
        (pod(conditions=[{"type": "Ready", "status": "True"}], phase="Failed"), None),
        (pod(phase="Failed", reason="Evicted", message="disk"), Cause("Evicted", "disk")),
        (pod(phase="Failed"), Cause("Failed", "the pod failed")),
        (ended(exitCode=1), Cause("CrashLooping", "executors: exit code 1")),
        (
            ended(exitCode=1, message='{"reason": "lower", "message": "x"}'),
            Cause("CrashLooping", 'executors: {"reason": "lower", "message": "x"} (exit code 1)'),
        ),
        (
            ended(exitCode=1, message="{broken"),
            Cause("CrashLooping", "executors: {broken (exit code 1)"),
        ),
        (
            ended(exitCode=1, message='{"reason": "AdapterBroken", "message": "no module x"}'),
            Cause("AdapterBroken", "no module x"),
        ),
        (
            ended("agent", exitCode=143),
            Cause(
                "StartTimedOut",
                "not ready within startupSeconds: see the log of the container executors",
            ),
        ),
        (ended("agent", exitCode=3), Cause("CrashLooping", "agent: exit code 3")),
        (ended(exitCode=0), None),
        (
            pod(
                initContainerStatuses=ended(exitCode=1)["status"]["containerStatuses"],
                containerStatuses=ended(
                    "agent", exitCode=1, message='{"reason": "CannotStart", "message": "no disk"}'
                )["status"]["containerStatuses"],
            ),
            Cause("CannotStart", "no disk"),
        ),
        (
            pod(
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]
            ),
            Cause("Unschedulable", "no node fits"),
        ),
        (
            pod(
                initContainerStatuses=[
                    {"name": "executors", "state": {"waiting": {"reason": "ErrImagePull"}}}
                ]
            ),
            Cause("ImagePullFailed", "image can not be pulled: ErrImagePull"),
        ),
        (
            pod(
                containerStatuses=[
                    {"name": "agent", "state": {"waiting": {"reason": "ContainerCreating"}}}
                ]
            ),
            None,
        ),
    ],
)
def test_a_pods_cause(live: Json, cause: Cause | None) -> None:
    assert cause_of_pod(live, None) == cause


def test_the_commonest_cause_speaks_for_the_pool() -> None:
    leaving = ended(exitCode=9)
    leaving["metadata"] = {"name": "gone", "deletionTimestamp": "2026-01-31T12:00:00Z"}
    pods = [ended(exitCode=1), ended(exitCode=2), ended(exitCode=2), leaving, leaving, leaving]

    cause = cause_of_pool(None, pods, None)

    assert cause == Cause("CrashLooping", "2 of 3 workers: executors: exit code 2")


def test_without_a_cause_there_is_none() -> None:
    quiet = {"type": "ReplicaFailure", "status": "False"}

    assert cause_of_pool({"status": {"conditions": [quiet]}}, [], None) is None


def test_other_refusals_of_pods_are_named() -> None:
    failure = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}

    cause = cause_of_pool({"status": {"conditions": [failure]}}, [], None)

    assert cause == Cause("PodRefused", "violates PodSecurity")


def test_messages_are_one_line_of_bounded_length() -> None:
    assert one_line("a\n  b") == "a b"
    assert len(one_line("x" * 5000)) == 1024


BROKEN = Cause("CrashLooping", "why")
FINAL = Cause("NameTaken", "whose", is_final=True)


def workers(desired: int, total: int, ready: int, updated: int, current: bool = True) -> Workers:
    return Workers(desired, total, ready, updated, current)


@pytest.mark.parametrize(
    ("seen", "cause", "ready", "progressing", "degraded"),
    [
        (workers(2, 0, 0, 0, False), None, "-Starting", "+Replacing", "-AsExpected"),
        (workers(2, 2, 0, 2), None, "-Starting", "+Starting", "-AsExpected"),
        (workers(2, 2, 1, 2), None, "+WorkersReady", "+Starting", "-AsExpected"),
        (workers(2, 2, 2, 2), None, "+WorkersReady", "-Settled", "-AsExpected"),
        (workers(2, 3, 2, 1), None, "+WorkersReady", "+Replacing", "-AsExpected"),
        (workers(1, 3, 3, 3), None, "+WorkersReady", "+Draining", "-AsExpected"),
        (workers(2, 2, 0, 2), BROKEN, "-CrashLooping", "-Stalled", "+CrashLooping"),
        (workers(2, 2, 1, 2), BROKEN, "+WorkersReady", "-Stalled", "+CrashLooping"),
        (workers(2, 3, 2, 1), BROKEN, "+WorkersReady", "-Stalled", "+CrashLooping"),
        (workers(2, 2, 2, 2), BROKEN, "+WorkersReady", "-Settled", "-AsExpected"),
        (workers(0, 0, 0, 0), None, "-ScaledToZero", "-Settled", "-AsExpected"),
        (workers(0, 1, 0, 1), BROKEN, "-ScaledToZero", "+Draining", "-AsExpected"),
        (workers(2, 2, 2, 2), FINAL, "+WorkersReady", "-Stalled", "+NameTaken"),
        (workers(0, 0, 0, 0), FINAL, "-NameTaken", "-Stalled", "+NameTaken"),
    ],
)
def test_conditions(
    seen: Workers, cause: Cause | None, ready: str, progressing: str, degraded: str
) -> None:
    status = status_of(LIVE, seen, cause, "now")
    found = {
        each["type"]: ("+" if each["status"] == "True" else "-") + each["reason"]
        for each in status["conditions"]
    }

    assert found == {"Ready": ready, "Progressing": progressing, "Degraded": degraded}
    assert status["selector"] == "pythonpool.dev/pool=shop"
    assert status["observedGeneration"] == 3


def test_a_condition_that_stays_keeps_its_time() -> None:
    before = status_of(LIVE, workers(2, 2, 1, 2), None, "then")

    after = status_of(LIVE | {"status": before}, workers(2, 2, 2, 2), None, "now")

    times = {each["type"]: each["lastTransitionTime"] for each in after["conditions"]}
    assert times == {"Ready": "then", "Progressing": "now", "Degraded": "then"}


def test_workers_are_counted_by_the_deployments_status() -> None:
    status = {"replicas": 3, "readyReplicas": 1, "updatedReplicas": 2, "observedGeneration": 5}
    live = {"metadata": {"generation": 5}, "status": status}

    assert count_workers(4, live) == Workers(4, 3, 1, 2, True)
    assert count_workers(4, {"metadata": {"generation": 6}, "status": status}).is_current is False
    assert count_workers(4, None) == Workers(4, 0, 0, 0, False)


def test_the_status_of_a_namesake_is_not_written() -> None:
    assert status_manifest(LIVE, {})["metadata"]["uid"] == "u-1"


def told(before: Workers | None, cause_before: Cause | None, after: Workers, cause: Any) -> Any:
    old = status_of(LIVE, before, cause_before, "then") if before else None
    new = status_of(LIVE, after, cause, "now")
    return [(each["type"], each["reason"]) for each in news(LIVE, old, new, 1769860800.25)]


def test_events_tell_changes_once() -> None:
    down, up = workers(2, 2, 0, 2), workers(2, 2, 2, 2)

    assert told(None, None, up, None) == [("Normal", "WorkersReady")]
    assert told(up, None, up, None) == []
    assert told(up, None, down, BROKEN) == [("Warning", "CrashLooping")]
    assert told(down, BROKEN, down, BROKEN) == []
    assert told(down, BROKEN, down, FINAL) == [("Warning", "NameTaken")]
    assert told(down, FINAL, down, None) == []


def test_a_long_note_fits() -> None:
    cause = Cause("NameTaken", "ü" * 1000, is_final=True)

    (event,) = news(LIVE, None, status_of(LIVE, workers(1, 0, 0, 0), cause, "now"), 0.0)

    assert len(event["note"].encode()) <= 1000
    assert event["eventTime"] == "1970-01-01T00:00:00.000000Z"


def owned(uid: str, **more: Any) -> Json:
    owner = {"kind": "PythonPool", "name": "shop", "uid": uid, "controller": True}
    return {"metadata": {"name": "shop", "ownerReferences": [owner]} | more}


ORPHAN = {
    "metadata": {
        "name": "shop",
        "labels": {
            "app.kubernetes.io/managed-by": "pythonpool-operator",
            "pythonpool.dev/pool": "shop",
        },
    }
}


@pytest.mark.parametrize(
    ("found", "ours", "leaving"),
    [
        (owned("u-1"), True, False),
        (owned("u-0"), False, True),
        (owned("u-1", deletionTimestamp="now"), True, True),
        (ORPHAN, True, False),
        ({"metadata": {"name": "shop"}}, False, False),
        (
            {"metadata": {"ownerReferences": [{"uid": "x", "kind": "Job", "name": "j"}]}},
            False,
            False,
        ),
        (
            {
                "metadata": {
                    "ownerReferences": [
                        {"uid": "x", "kind": "Job", "name": "j", "controller": True}
                    ]
                }
            },
            False,
            False,
        ),
    ],
)
def test_whose_an_object_is(found: Json, ours: bool, leaving: bool) -> None:
    assert is_ours(found, LIVE) is ours
    assert is_leaving(found, LIVE) is leaving


def test_a_plan_has_all_objects() -> None:
    wanted = plan(LIVE, {}, [], SETTINGS)

    assert wanted.trouble is None
    assert [kind for kind, _ in wanted.wanted] == [kind for kind, _ in names_of("shop")]


@pytest.mark.parametrize(
    ("live", "objects", "reason", "words"),
    [
        (LIVE | {"spec": {"adapter": "a:B"}}, {}, "ImageMissing", 'for the adapter "a:B"'),
        (LIVE | {"spec": {"adapter": 3}}, {}, "InvalidSpec", "spec.adapter"),
        (LIVE | {"spec": None}, {}, "InvalidSpec", "spec"),
        (LIVE, {BUDGET: {"metadata": {"name": "shop"}}}, "NameTaken", "PodDisruptionBudget shop"),
    ],
)
def test_a_plan_that_can_not_be_says_why(live: Json, objects: Any, reason: str, words: str) -> None:
    made = plan(live, objects, [], SETTINGS)

    assert made.wanted == ()
    assert made.trouble is not None
    assert made.trouble.reason == reason
    assert made.trouble.is_final
    assert words in made.trouble.message


def test_paths_of_the_api() -> None:
    assert POOL.path("here", "shop") == (
        "/apis/pythonpool.dev/v1alpha1/namespaces/here/pythonpools/shop"
    )
    assert BUDGET.path("") == "/apis/policy/v1/poddisruptionbudgets"


def test_settings_in_a_pod() -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443"}

    found = parse(["--agent-image", "core:1", "--worker-image", "a=b:1=2"], environment)

    assert found.api.server == "https://[fd00::1]:6443"
    assert str(found.api.token_file) == "/var/run/secrets/kubernetes.io/serviceaccount/token"
    assert found.worker_images == {"a": "b:1=2"}
    assert found.namespaces == ()


def test_settings_from_flags() -> None:
    flags = [
        "--agent-image",
        "c",
        "--api-server",
        "https://x:1/",
        "--namespace",
        "a",
        "--namespace",
        "b",
    ]

    found = parse(flags, {})

    assert found.api == Api("https://x:1", None, None)
    assert found.namespaces == ("a", "b")


@pytest.mark.parametrize(
    "flags", [["--agent-image", "c"], ["--agent-image", "c", "--worker-image", "x"], []]
)
def test_wrong_flags_end_with_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        parse(flags, {})

    assert "error: " in capsys.readouterr().err
