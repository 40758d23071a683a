"""What every other test of a cluster relies on: nodes, names, images, restricted pods, the CRD."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from cluster.kube.apiserver import wait_for_crd
from cluster.kube.client import Cluster
from cluster.kube.images import IMAGES
from cluster.kube.places import CHECKOUT
from cluster.kube.steps import Failed

EXAMPLES = CHECKOUT / "examples" / "pools.yaml"
REFERENCES = {image.name: image.reference for image in IMAGES}
UNTIL_TERMINATED = "import signal; signal.sigwait({signal.SIGTERM})"


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace that admits restricted pods alone, with the CRD in the cluster."""
    cluster.kubectl("apply", "-f", str(CHECKOUT / "crds"))
    wait_for_crd(cluster.kubectl)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    # A new name, as that of the last run may still be on its way out.
    name = f"test-cluster-{secrets.token_hex(3)}"
    metadata = {"name": name, "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def worker(cluster: Cluster, namespace: str) -> str:
    """Name of a running pod in the shape of a worker: a sidecar first, then the agent."""
    cluster.apply(_pod("worker", namespace))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/worker", "--timeout=45s")
    return "worker"


def test_both_nodes_are_ready(cluster: Cluster) -> None:
    nodes = cluster.get("nodes")["items"]

    ready = [
        condition["status"]
        for node in nodes
        for condition in node["status"]["conditions"]
        if condition["type"] == "Ready"
    ]
    assert len(nodes) >= 2
    assert set(ready) == {"True"}


def test_names_of_services_are_answered_inside_of_a_pod(
    cluster: Cluster, namespace: str, worker: str
) -> None:
    """The agent finds the routers by the name of a headless Service."""
    asks = "import socket; print(socket.gethostbyname('kubernetes.default.svc'))"

    said = _inside(cluster, namespace, worker, "agent", asks)

    service = cluster.get("service", "kubernetes", "-n", "default")
    assert said == service["spec"]["clusterIP"]


def test_services_are_reached_through_the_proxy(
    cluster: Cluster, namespace: str, worker: str
) -> None:
    connects = (
        "import socket; print(socket.create_connection(('kubernetes.default.svc', 443), 5)"
        ".getpeername()[1])"
    )

    assert _inside(cluster, namespace, worker, "agent", connects) == "443"


@pytest.mark.parametrize(("container", "uid"), [("executors", "65532"), ("agent", "65531")])
def test_a_restricted_pod_runs_both_images_on_a_read_only_root(
    cluster: Cluster, namespace: str, worker: str, container: str, uid: str
) -> None:
    tries = (
        "import getpass, os, pythonpool_worker; print(os.getuid(), bool(getpass.getuser()),"
        " os.access('/opt', os.W_OK), os.access('/tmp', os.W_OK))"
    )

    assert _inside(cluster, namespace, worker, container, tries) == f"{uid} True False True"


def test_worker_images_offer_the_adapters_that_are_shipped(
    cluster: Cluster, namespace: str, worker: str
) -> None:
    lists = (
        "from importlib.metadata import entry_points as e;"
        " print(*sorted(p.name for p in e(group='pythonpool.adapters')))"
    )

    said = _inside(cluster, namespace, worker, "executors", lists)

    assert said == "general neural optimizer"


def test_an_adapter_of_ones_own_is_one_file_more(cluster: Cluster, namespace: str) -> None:
    """The example's image finds `shop:Shop` without any setting."""
    pod = _pod("shop", namespace)
    sidecar = pod["spec"]["initContainers"][0]
    sidecar["image"] = REFERENCES["shop"]
    cluster.apply(pod)
    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/shop", "--timeout=45s")

    said = _inside(cluster, namespace, "shop", "executors", "import shop; print(shop.Shop)")

    assert said == "<class 'shop.Shop'>"


def test_a_pod_that_wants_a_gpu_waits_for_a_node_that_offers_one(
    cluster: Cluster, namespace: str, no_gpus: Cluster
) -> None:
    node = cluster.get("nodes")["items"][-1]["metadata"]["name"]
    pod = _pod("gpu", namespace)
    pod["spec"]["initContainers"][0]["resources"]["limits"]["nvidia.com/gpu"] = "1"
    cluster.apply(pod)
    unschedulable = ("--for=condition=PodScheduled=False", "pod/gpu", "--timeout=30s")
    cluster.kubectl("-n", namespace, "wait", *unschedulable)

    no_gpus.advertise_gpus(node, 1)

    cluster.kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/gpu", "--timeout=45s")
    assert cluster.get("pod", "gpu", "-n", namespace)["spec"]["nodeName"] == node


def test_pods_that_are_not_restricted_are_refused(cluster: Cluster, namespace: str) -> None:
    pod = _pod("root", namespace)
    del pod["spec"]["securityContext"]["runAsNonRoot"]

    with pytest.raises(Failed, match='violates PodSecurity "restricted:latest": runAsNonRoot'):
        cluster.apply(pod)


def test_the_examples_are_accepted(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "apply", "-f", str(EXAMPLES), "--dry-run=server")


def test_a_wrong_pool_is_refused_in_the_words_of_the_contract(
    cluster: Cluster, namespace: str
) -> None:
    pool = {
        "apiVersion": "pythonpool.dev/v1alpha1",
        "kind": "PythonPool",
        "metadata": {"name": "slow", "namespace": namespace},
        "spec": {"adapter": "general", "timeoutSeconds": 5000},
    }

    with pytest.raises(Failed, match=r"timeoutSeconds.* 5000.* maxTimeoutSeconds \(3600\)"):
        cluster.apply(pool)


def test_fields_explain_themselves(cluster: Cluster, namespace: str) -> None:
    said = cluster.kubectl("explain", "pythonpool.spec.queue")

    assert "maxLength\t<integer>" in said
    assert "Seconds that a call waits for a slot." in said


def _inside(cluster: Cluster, namespace: str, pod: str, container: str, program: str) -> str:
    command = ("exec", pod, "-c", container, "--", "python", "-c", program)
    return cluster.kubectl("-n", namespace, *command).strip()


def _pod(name: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "volumes": [{"name": "scratch", "emptyDir": {}}],
            "initContainers": [
                _container("executors", "worker-general", 65532) | {"restartPolicy": "Always"}
            ],
            "containers": [_container("agent", "router", 65531)],
        },
    }


def _container(name: str, image: str, uid: int) -> dict[str, Any]:
    return {
        "name": name,
        "image": REFERENCES[image],
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-c", UNTIL_TERMINATED],
        "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "10m"}},
        "securityContext": {
            "runAsUser": uid,
            "runAsGroup": uid,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    }
