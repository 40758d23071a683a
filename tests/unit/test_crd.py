"""The CRD is a structural schema that says all that the models say."""

from collections.abc import Iterator
from typing import Any

import pytest

from pythonpool.crd import crd, crd_yaml
from pythonpool.pool import PoolSpec

VERSION = crd()["spec"]["versions"][0]
ROOT = VERSION["schema"]["openAPIV3Schema"]
SPEC = ROOT["properties"]["spec"]


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of the schema with its path."""
    yield path, schema
    for name, below in schema.get("properties", {}).items():
        yield from nodes(below, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


ALL = [(path, node) for path, node in nodes(SPEC, "spec")]
STATUS = list(nodes(ROOT["properties"]["status"], "status"))


def at(path: str) -> dict[str, Any]:
    return dict(ALL)[path]


def test_it_is_small_and_the_same_each_time() -> None:
    """A file over 256 KiB can not be applied from a client; 50 KB are read by people."""
    assert len(crd_yaml()) < 50_000
    assert crd_yaml() == crd_yaml()


@pytest.mark.parametrize(("path", "node"), ALL + STATUS, ids=[path for path, _ in ALL + STATUS])
def test_every_node_is_structural_and_bounded(path: str, node: dict[str, Any]) -> None:
    """What an API server refuses in a schema, and what the conventions ask of one."""
    assert not {"$ref", "anyOf", "allOf", "oneOf", "title", "const", "nullable"} & set(node)
    if node.get("x-kubernetes-int-or-string"):
        assert "type" not in node
        return
    match node["type"]:
        case "string":
            assert "maxLength" in node or "enum" in node
        case "integer":
            assert "minimum" in node
            assert "maximum" in node or path.startswith("status")
        case "array":
            assert "maxItems" in node
            assert node["x-kubernetes-list-type"] in ("map", "set", "atomic")
        case "object":
            assert (
                "properties" in node
                or "maxProperties" in node
                or node["x-kubernetes-preserve-unknown-fields"]
            )
        case kind:
            assert kind == "boolean"


@pytest.mark.parametrize(("path", "node"), ALL + STATUS, ids=[path for path, _ in ALL + STATUS])
def test_every_field_explains_itself(path: str, node: dict[str, Any]) -> None:
    """`kubectl explain` shows one sentence for each."""
    assert path.endswith("[]") or node["description"].strip()


def test_every_field_of_the_spec_is_there() -> None:
    """Under its name on the wire."""
    assert list(SPEC["properties"]) == [field.alias for field in PoolSpec.model_fields.values()]
    assert SPEC["required"] == ["adapter"]


def test_defaults_are_filled_in_by_the_api_server() -> None:
    """Also those of parts that are not given; empty lists and nulls are left out."""
    defaults = {path: node["default"] for path, node in ALL if "default" in node}

    assert defaults["spec.replicas"] == 1
    assert defaults["spec.resources"] == {"memory": "512Mi", "cpu": "100m"}
    assert defaults["spec.resources.memory"] == "512Mi"
    assert defaults["spec.resources.cpu"] == "100m"
    assert defaults["spec.sessions.persistence"] == "Worker"
    assert defaults["spec.sessions.maxStateBytes"] == "1Mi"
    assert defaults["spec.results.maxBytes"] == "64Mi"
    assert defaults["spec.recycle.memoryPercent"] == 90
    assert "spec.gpu" not in defaults
    assert "spec.env" not in defaults
    assert None not in defaults.values()


def test_bounds_enums_and_quantities() -> None:
    """A few of each kind."""
    assert (at("spec.concurrency")["minimum"], at("spec.concurrency")["maximum"]) == (1, 256)
    assert at("spec.isolation")["enum"] == ["process", "thread"]
    assert at("spec.egress[].internet")["enum"] == [True]
    assert at("spec.config")["x-kubernetes-preserve-unknown-fields"] is True
    assert at("spec.env")["x-kubernetes-list-map-keys"] == ["name"]
    assert at("spec.operations")["x-kubernetes-list-type"] == "set"
    messages = [rule["message"] for rule in at("spec.resources.memory")["x-kubernetes-validations"]]
    assert messages == [
        "must be a quantity of bytes such as 512Mi or 4Gi",
        "must be from 64Mi to 4Ti",
    ]


def test_rules_speak_in_the_words_of_local_validation() -> None:
    """`up` and `kubectl apply` refuse the same thing with the same sentence."""
    rules = {rule["fieldPath"]: rule for rule in SPEC["x-kubernetes-validations"]}

    assert rules[".timeoutSeconds"]["messageExpression"] == (
        "'timeoutSeconds is %s, must be at most maxTimeoutSeconds (%s)'"
        ".format([self.timeoutSeconds, self.maxTimeoutSeconds])"
    )
    assert rules[".scaling"]["message"] == (
        "scaling comes later: must be left out, set replicas instead"
    )
    assert set(rules) == {".timeoutSeconds", ".scaling", ".perCaller", ".gpu.nodeSelector"}


def test_columns_and_subresources() -> None:
    """`kubectl get`, `kubectl scale` and autoscalers work."""
    assert VERSION["subresources"] == {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    }
    assert crd()["spec"]["names"]["shortNames"] == ["pypool"]
    shown = [c["name"] for c in VERSION["additionalPrinterColumns"] if not c.get("priority")]
    assert shown == ["Ready", "Workers", "Desired", "Adapter", "Age"]
