"""The chart for those who do not let Helm into their cluster: rendered, then applied by kubectl."""

import secrets
from collections.abc import Iterator

import pytest
import yaml
from cluster.kube.client import Cluster
from cluster.kube.images import GENERAL
from cluster.kube.places import CHECKOUT
from cluster_release import Release, helm

pytestmark = pytest.mark.timeout(120)

VALUES = {
    "image": {"registry": GENERAL.reference.partition("/worker-general:")[0]},
    "router": {"replicas": 1, "graceSeconds": 10},
    "pools": {"optimizer": None, "neural": None, "general": {"replicas": 1}},
}


@pytest.fixture
def applied(own_nodes: Cluster) -> Iterator[Release]:
    """What `helm template` prints, applied in a namespace that admits restricted pods alone."""
    name = f"test-template-{secrets.token_hex(3)}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"name": name, "labels": labels}
    own_nodes.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    made = Release(own_nodes, name)
    options = ("--skip-tests", "--include-crds", "--values", "-")
    chart = ("template", "pythonpool", str(CHECKOUT / "helm"))
    rendered = helm(made, *chart, *options, text_in=yaml.safe_dump(VALUES))
    made.kubectl("apply", "-f", "-", text_in=rendered)
    yield made
    # The CustomResourceDefinition stays: it is that of all tests.
    ours = [each for each in yaml.safe_load_all(rendered) if each and is_of_release(each)]
    made.kubectl("delete", "--wait=false", "-f", "-", text_in=yaml.safe_dump_all(ours))
    own_nodes.kubectl("delete", "namespace", name, "--wait=false")


def is_of_release(document: dict[str, object]) -> bool:
    """Whether it goes with the release."""
    return document["kind"] != "CustomResourceDefinition"


def test_a_rendered_chart_is_enough(applied: Release) -> None:
    """Operator, router and pool come up, and a call is answered."""
    applied.kubectl("rollout", "status", "deployment/pythonpool-router", "--timeout=60s")
    applied.settled("general", 1, 60)

    answer = applied.service.run("general", "echo", {"message": "Hello"})

    assert (answer.status, answer.json["echoed"]) == (200, {"message": "Hello"})
