"""Every mistake in a PythonPool is one line: the field, its value, what it must be."""

from typing import Any

import pytest

from pythonpool.errors import InvalidArgument
from pythonpool.pool import parse_pool

NAME_WORDS = "must be a DNS label (a-z, 0-9, -) of at most 40 characters"
OBJECT = "must be an object of names and values"
TEXT = "must be text (in quotes when it looks like something else)"
BYTES = "must be a quantity of bytes such as 512Mi or 4Gi"
LONG = "x" * 400

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"replicas": -1}, "spec.replicas is -1, must be at least 0"),
    ({"replicas": 1001}, "spec.replicas is 1001, must be at most 1000"),
    ({"replicas": "2"}, 'spec.replicas is "2", must be a whole number'),
    ({"replicas": 1.5}, "spec.replicas is 1.5, must be a whole number"),
    ({"replicas": True}, "spec.replicas is true, must be a whole number"),
    ({"replicas": [1]}, "spec.replicas is [1], must be a whole number"),
    ({"concurrency": 0}, "spec.concurrency is 0, must be at least 1"),
    ({"concurrency": 257}, "spec.concurrency is 257, must be at most 256"),
    ({"adapter": ""}, 'spec.adapter is "", must be text that is not empty'),
    ({"adapter": 5}, f"spec.adapter is 5, {TEXT}"),
    ({"adapter": None}, "spec.adapter is missing, must be given"),
    (
        {"adapter": "general; rm -rf"},
        'spec.adapter is "general; rm -rf", must be an adapter\'s entry point or module:Class',
    ),
    ({"adapter": LONG}, f'spec.adapter is "{"x" * 58}…, must be at most 253 characters'),
    ({"isolation": "proces"}, 'spec.isolation is "proces", must be process or thread'),
    ({"onDisconnect": "cancel"}, 'spec.onDisconnect is "cancel", must be Cancel or Finish'),
    (
        {"sessions": {"persistence": "Disk"}},
        'spec.sessions.persistence is "Disk", must be None, Worker or Shared',
    ),
    (
        {"sessions": {"persistence": "Shared"}},
        "spec.sessions.persistence is Shared, which comes later: must be None or Worker",
    ),
    (
        {"sessions": {"ttlSeconds": 90000}},
        "spec.sessions.ttlSeconds is 90000, must be at most maxTtlSeconds (86400)",
    ),
    ({"sessions": {"ttlSeconds": 0}}, "spec.sessions.ttlSeconds is 0, must be at least 1"),
    (
        {"sessions": {"maxTtlSeconds": 604801}},
        "spec.sessions.maxTtlSeconds is 604801, must be at most 604800",
    ),
    (
        {"sessions": {"maxPerWorker": 1001}},
        "spec.sessions.maxPerWorker is 1001, must be at most 1000",
    ),
    (
        {"sessions": {"drainSeconds": 86401}},
        "spec.sessions.drainSeconds is 86401, must be at most 86400",
    ),
    (
        {"sessions": {"maxStateBytes": "65Mi"}},
        'spec.sessions.maxStateBytes is "65Mi", must be from 0 to 64Mi',
    ),
    ({"sessions": 3}, f"spec.sessions is 3, {OBJECT}"),
    (
        {"sessions": {"ttl": 3}},
        (
            "spec.sessions.ttl is not a field, must be one of ttlSeconds, maxTtlSeconds, "
            "maxPerWorker, drainSeconds, persistence, maxStateBytes"
        ),
    ),
    ({"timeoutSeconds": 0}, "spec.timeoutSeconds is 0, must be at least 1"),
    (
        {"timeoutSeconds": 5000},
        "spec.timeoutSeconds is 5000, must be at most maxTimeoutSeconds (3600)",
    ),
    ({"maxTimeoutSeconds": 86401}, "spec.maxTimeoutSeconds is 86401, must be at most 86400"),
    (
        {"resources": {"memory": "32Mi"}},
        'spec.resources.memory is "32Mi", must be from 64Mi to 4Ti',
    ),
    ({"resources": {"memory": "5Ti"}}, 'spec.resources.memory is "5Ti", must be from 64Mi to 4Ti'),
    ({"resources": {"memory": "4 Gi"}}, f'spec.resources.memory is "4 Gi", {BYTES}'),
    ({"resources": {"memory": "4GB"}}, f'spec.resources.memory is "4GB", {BYTES}'),
    ({"resources": {"memory": True}}, f"spec.resources.memory is true, {BYTES}"),
    ({"resources": {"memory": "-1Gi"}}, f'spec.resources.memory is "-1Gi", {BYTES}'),
    (
        {"resources": {"cpu": 0.5}},
        'spec.resources.cpu is 0.5, must be a quantity of cores such as 100m or "2"',
    ),
    ({"resources": {"cpu": 257}}, "spec.resources.cpu is 257, must be from 1m to 256"),
    ({"resources": {"cpu": "0"}}, 'spec.resources.cpu is "0", must be from 1m to 256'),
    (
        {"resources": {"executorMemory": "1Gi"}},
        "spec.resources.executorMemory is 1Gi, must be at most memory (512Mi)",
    ),
    (
        {"resources": {"executorMemory": "1Mi"}},
        'spec.resources.executorMemory is "1Mi", must be from 64Mi to 4Ti',
    ),
    ({"gpu": {}}, "spec.gpu.count is missing, must be given"),
    ({"gpu": {"count": 65}}, "spec.gpu.count is 65, must be at most 64"),
    (
        {"gpu": {"count": 1, "nodeSelector": {"a": "b"}}, "pod": {"nodeSelector": {"a": "c"}}},
        (
            "spec.gpu.nodeSelector has a key with another value in pod.nodeSelector: "
            "must have the same"
        ),
    ),
    (
        {"healthCheck": {"periodSeconds": 601}},
        "spec.healthCheck.periodSeconds is 601, must be at most 600",
    ),
    (
        {"healthCheck": {"failureThreshold": 21}},
        "spec.healthCheck.failureThreshold is 21, must be at most 20",
    ),
    (
        {"healthCheck": {"startupSeconds": 0}},
        "spec.healthCheck.startupSeconds is 0, must be at least 1",
    ),
    ({"queue": {"maxLength": 10001}}, "spec.queue.maxLength is 10001, must be at most 10000"),
    ({"queue": {"timeoutSeconds": -1}}, "spec.queue.timeoutSeconds is -1, must be at least 0"),
    ({"results": {"maxBytes": 512}}, "spec.results.maxBytes is 512, must be from 1Ki to 1Gi"),
    (
        {"results": {"ttlSeconds": 60}},
        "spec.results.ttlSeconds comes later, with async executions: must be left out",
    ),
    ({"recycle": {"maxCalls": 0}}, "spec.recycle.maxCalls is 0, must be at least 1"),
    ({"recycle": {"maxAgeSeconds": 59}}, "spec.recycle.maxAgeSeconds is 59, must be at least 60"),
    ({"recycle": {"memoryPercent": 100}}, "spec.recycle.memoryPercent is 100, must be at most 99"),
    (
        {"warmup": [{"command": "ping"}] * 17},
        (
            'spec.warmup is [{"command": "ping"}, {"command": "ping"}, {"command": "pin…, '
            "must be at most 16 entries"
        ),
    ),
    ({"warmup": {"command": "ping"}}, 'spec.warmup is {"command": "ping"}, must be a list'),
    (
        {"warmup": [{"command": "Ping"}]},
        (
            'spec.warmup[0].command is "Ping", must be a command\'s name: a-z first, '
            "then a-z, 0-9, _ . - and at most 64 characters"
        ),
    ),
    (
        {"operations": ["optimize_*", "a b"]},
        (
            'spec.operations[1] is "a b", must be a glob over command names '
            "(a-z, 0-9, _ . - and * ? [ ])"
        ),
    ),
    ({"operations": ["a*", "a*"]}, 'spec.operations[1] is "a*", must be given once'),
    ({"operations": "a*"}, 'spec.operations is "a*", must be a list'),
    (
        {"scaling": {"maxReplicas": 8}},
        "spec.scaling comes later: must be left out, set replicas instead",
    ),
    ({"perCaller": {"maxRunning": 4}}, "spec.perCaller comes later: must be left out"),
    (
        {"env": [{"name": "1A", "value": ""}]},
        (
            'spec.env[0].name is "1A", must be the name of an environment variable: '
            "letters, digits and _, no digit first"
        ),
    ),
    ({"env": [{"name": "A", "value": 5}]}, f"spec.env[0].value is …, {TEXT}"),
    (
        {"env": [{"name": "A"}]},
        "spec.env[0].value must be given, or valueFrom: exactly one of the two",
    ),
    (
        {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        'spec.env[1].name is "A", must be given once',
    ),
    (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
        "spec.env[0].valueFrom.secretKeyRef.key is missing, must be given",
    ),
    ({"egress": [{"internet": False}]}, "spec.egress[0].internet is false, must be true"),
    (
        {"egress": [{}]},
        "spec.egress[0].cidr must be given, or internet: exactly one of the two",
    ),
    (
        {"egress": [{"internet": True, "cidr": "10.0.0.0/8"}]},
        "spec.egress[0].cidr must be given, or internet: exactly one of the two",
    ),
    (
        {"egress": [{"cidr": "10.1.0.0"}]},
        'spec.egress[0].cidr is "10.1.0.0", must be an address range such as 10.1.0.0/16',
    ),
    (
        {"egress": [{"internet": True, "ports": [0]}]},
        "spec.egress[0].ports[0] is 0, must be at least 1",
    ),
    (
        {"pod": {"labels": {"a b": "c"}}},
        (
            'spec.pod.labels has the key "a b", must be a Kubernetes name such as app or '
            "example.com/app"
        ),
    ),
    (
        {"pod": {"labels": {"example.com/a": "c d"}}},
        (
            'spec.pod.labels["example.com/a"] is "c d", must be a label\'s value: letters, digits, '
            "- _ . and at most 63 characters"
        ),
    ),
    ({"pod": {"image": "a b"}}, 'spec.pod.image is "a b", must be text without spaces'),
    (
        {"pod": {"volumes": [{"emptyDir": {}}]}},
        "spec.pod.volumes[0].name is missing, must be given",
    ),
    (
        {"pod": {"volumeMounts": [{"name": "a", "mountPath": "data"}]}},
        'spec.pod.volumeMounts[0].mountPath is "data", must be an absolute path without :',
    ),
    ({"local": {"replicasPerCore": 0}}, "spec.local.replicasPerCore is 0, must be at least 1"),
    ({"local": {"gpu": "Maybe"}}, 'spec.local.gpu is "Maybe", must be Required or IfPresent'),
    ({"config": []}, f"spec.config is [], {OBJECT}"),
    (
        {"config": {"a": "x" * 16384}},
        f'spec.config is {{"a": "{"x" * 52}…, must be at most 16 KiB as JSON (it is 16393 bytes)',
    ),
    (
        {"config": {"a": float("nan")}},
        'spec.config is {"a": NaN}, must be an object that JSON can carry',
    ),
    ({"timeoutsSeconds": 5}, "spec.timeoutsSeconds is not a field, did you mean timeoutSeconds?"),
    ({"timeout_seconds": 5}, "spec.timeout_seconds is not a field, did you mean timeoutSeconds?"),
    ({"colour": "red"}, "spec.colour is not a field"),
    (
        {"env": [{"name": "A", "valu": "1", "value": "2"}]},
        "spec.env[0].valu is not a field, did you mean value?",
    ),
]

OUTSIDE: list[tuple[dict[str, Any], str]] = [
    ({"metadata": {"name": "Big_Name"}}, f'metadata.name is "Big_Name", {NAME_WORDS}'),
    ({"metadata": {"name": "a.b"}}, f'metadata.name is "a.b", {NAME_WORDS}'),
    ({"metadata": {"name": "-a"}}, f'metadata.name is "-a", {NAME_WORDS}'),
    ({"metadata": {"name": "a\n"}}, f'metadata.name is "a\\n", {NAME_WORDS}'),
    (
        {"metadata": {"name": "a" * 41}},
        f'metadata.name is "{"a" * 41}", must be at most 40 characters',
    ),
    ({"metadata": {}}, "metadata.name is missing, must be given"),
    ({"metadata": None}, "metadata is missing, must be given"),
    (
        {"metadata": {"name": "a", "lables": {}}},
        "metadata.lables is not a field, did you mean labels?",
    ),
    ({"spec": None}, "spec is missing, must be given"),
    ({"spec": []}, f"spec is [], {OBJECT}"),
    ({"kind": "Pool"}, 'kind is "Pool", must be PythonPool'),
    ({"apiVersion": "v1"}, 'apiVersion is "v1", must be pythonpool.dev/v1alpha1'),
    ({"spce": {}}, "spce is not a field, did you mean spec?"),
]


def manifest(spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "pythonpool.dev/v1alpha1",
        "kind": "PythonPool",
        "metadata": {"name": "general"},
        "spec": spec,
    }


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(InvalidArgument) as caught:
        parse_pool(document)
    return caught.value.detail


@pytest.mark.parametrize(("spec", "line"), MISTAKES, ids=[line[:60] for _, line in MISTAKES])
def test_a_mistake_is_named_with_field_value_and_what_it_must_be(
    spec: dict[str, Any], line: str
) -> None:
    """The person who wrote the file can mend it from the line alone."""
    assert refusal(manifest({"adapter": "general"} | spec)) == line


@pytest.mark.parametrize(("beside", "line"), OUTSIDE, ids=[line[:60] for _, line in OUTSIDE])
def test_a_mistake_outside_of_the_spec_is_named_too(beside: dict[str, Any], line: str) -> None:
    """A wrong name would otherwise fail much later, as the name of a pod."""
    assert refusal(manifest({"adapter": "general"}) | beside) == line


def test_several_mistakes_stand_in_one_line() -> None:
    """All of them at once, so that a file is mended in one go."""
    document = manifest({"replicas": -1, "queue": {"maxLength": -1}, "colour": 1})

    assert refusal(document) == (
        "spec.adapter is missing, must be given; spec.replicas is -1, must be at least 0; "
        "spec.queue.maxLength is -1, must be at least 0; spec.colour is not a field"
    )


def test_all_broken_rules_of_one_part_are_named() -> None:
    """A rule does not hide the next one."""
    spec = {"adapter": "a", "timeoutSeconds": 5000, "scaling": {"maxReplicas": 1}, "replicas": 1}

    assert refusal(manifest(spec)) == (
        "spec.timeoutSeconds is 5000, must be at most maxTimeoutSeconds (3600); "
        "spec.scaling comes later: must be left out, set replicas instead; "
        "spec.replicas must not be given together with scaling"
    )


def test_the_value_of_a_variable_is_never_shown() -> None:
    """It may be a secret, and lines end up in logs."""
    line = refusal(manifest({"adapter": "a", "env": [{"name": "A", "value": 12345}]}))

    assert "12345" not in line
