"""What a pool's objects look like, field by field: pure, without an API server."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pythonpool.pool import PythonPool, parse_pool
from pythonpool_operator.kinds import CONFIG_MAP, DEPLOYMENT, NETWORK_POLICY
from pythonpool_operator.manifests import child_name, children, deployment, network_policy
from pythonpool_operator.podspec import grace_seconds, image_of
from pythonpool_operator.settings import Api, Settings
from pythonpool_operator.workerfile import files, worker_file, worker_hash

GOLDEN = Path(__file__).parent / "golden"

Json = dict[str, Any]


def settings(**more: Any) -> Settings:
    images = {"general": "general:1", "neural": "neural:1", "neural-gpu": "neural-gpu:1"}
    api = Api("https://api", None, None)
    return Settings(api=api, agent_image="core:1", worker_images=images, **more)


def pool(**spec: Any) -> PythonPool:
    return parse_pool(
        {
            "apiVersion": "pythonpool.dev/v1alpha1",
            "kind": "PythonPool",
            "metadata": {"name": "shop", "namespace": "here", "uid": "u-1"},
            "spec": {"adapter": "general"} | spec,
        }
    )


def template(**spec: Any) -> Json:
    found: Json = deployment(pool(**spec), "mine:1", settings())["spec"]["template"]
    return found


def executors(**spec: Any) -> Json:
    found: Json = template(**spec)["spec"]["initContainers"][0]
    return found


def test_all_objects_of_a_plain_pool() -> None:
    """Written down whole, so that a change of any field is seen in review."""
    plain = pool()
    made = children(plain, "general:1", files(plain, None, []), settings())
    for _, manifest in made:
        # Changes with each release.
        manifest["metadata"]["labels"].pop("app.kubernetes.io/version")
        manifest["metadata"].pop("annotations")

    written = list(yaml.safe_load_all((GOLDEN / "operator-plain-pool.yaml").read_text()))

    assert [manifest for _, manifest in made] == written


def test_all_objects_of_a_gpu_pool() -> None:
    given = yaml.safe_load((GOLDEN / "operator-gpu-pool-spec.yaml").read_text())
    made = deployment(pool(**given), "neural-gpu:1", settings())
    made["metadata"]["labels"].pop("app.kubernetes.io/version")

    assert made == yaml.safe_load((GOLDEN / "operator-gpu-pool.yaml").read_text())


def test_a_fingerprint_shows_what_is_no_longer_wanted() -> None:
    def annotation(given: PythonPool) -> str:
        made = dict(children(given, "general:1", {}, settings()))
        return str(made[NETWORK_POLICY]["metadata"]["annotations"])

    assert annotation(pool()) != annotation(pool(egress=[{"internet": True}]))
    assert annotation(pool()) == annotation(pool(replicas=9))


@pytest.mark.parametrize(
    ("spec", "image"),
    [
        ({}, "general:1"),
        ({"adapter": "neural"}, "neural:1"),
        ({"adapter": "neural", "gpu": {"count": 1}}, "neural-gpu:1"),
        ({"gpu": {"count": 1}}, "general:1"),
        ({"adapter": "shop:Shop"}, None),
        ({"adapter": "shop:Shop", "pod": {"image": "mine:2"}}, "mine:2"),
        ({"pod": {"labels": {"a": "b"}}}, "general:1"),
    ],
)
def test_the_image_is_that_of_the_release_or_ones_own(spec: Json, image: str | None) -> None:
    assert image_of(pool(**spec), settings()) == image


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 3630),
        ({"maxTimeoutSeconds": 60}, 630),
        ({"maxTimeoutSeconds": 60, "sessions": {"drainSeconds": 0}}, 90),
    ],
)
def test_the_grace_lets_calls_and_sessions_end(spec: Json, seconds: int) -> None:
    assert grace_seconds(pool(**spec)) == seconds
    assert template(**spec)["spec"]["terminationGracePeriodSeconds"] == seconds


def test_a_gpu_pool_gives_up_a_worker_before_it_makes_the_next() -> None:
    with_gpu = deployment(pool(gpu={"count": 1}), "mine:1", settings())["spec"]["strategy"]
    without = deployment(pool(), "mine:1", settings())["spec"]["strategy"]

    assert with_gpu["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert without["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def environment(**spec: Any) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in executors(**spec)["env"]}


def test_a_pool_without_gpus_sees_none() -> None:
    name = "NVIDIA_VISIBLE_DEVICES"
    asked = [{"name": name, "value": "all"}]

    assert environment()[name] == "void"
    assert environment(env=asked)[name] == "void"
    assert name not in environment(gpu={"count": 1})
    assert environment(gpu={"count": 1}, env=asked)[name] == "all"


def test_the_users_variables_win_and_none_stands_twice() -> None:
    given = [{"name": "HOME", "value": "/data"}, {"name": "POD_NAME", "value": "x"}]
    names = [each["name"] for each in executors(env=given)["env"]]

    assert environment(env=given)["HOME"] == "/data"
    assert len(names) == len(set(names))
    assert "value" not in next(e for e in executors(env=given)["env"] if e["name"] == "POD_NAME")


def test_a_variable_from_a_secret_is_passed_on() -> None:
    source = {"secretKeyRef": {"name": "keys", "key": "model"}}
    (variable,) = [
        each
        for each in executors(env=[{"name": "KEY", "valueFrom": source}])["env"]
        if each["name"] == "KEY"
    ]

    assert variable == {"name": "KEY", "valueFrom": source}


def test_only_the_agent_has_the_token() -> None:
    spec = template()["spec"]
    (agent,) = spec["containers"]
    mounts = [mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]]

    assert spec["automountServiceAccountToken"] is False
    assert "link" not in mounts
    assert "link" in [mount["name"] for mount in agent["volumeMounts"]]


def test_our_labels_and_annotations_stand_whatever_the_pool_says() -> None:
    given = {
        "labels": {"pythonpool.dev/pool": "other", "team": "a"},
        "annotations": {"pythonpool.dev/config": "x", "note": "b"},
    }
    metadata = template(pod=given)["metadata"]

    assert metadata["labels"]["pythonpool.dev/pool"] == "shop"
    assert metadata["labels"]["team"] == "a"
    assert metadata["annotations"]["note"] == "b"
    assert metadata["annotations"]["pythonpool.dev/config"] == worker_hash(pool(pod=given))


def test_tolerations_join_and_the_users_own_for_lost_nodes_win() -> None:
    taint = {"key": "gpu", "operator": "Exists"}
    lost = {
        "key": "node.kubernetes.io/unreachable",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": 5,
    }
    found = template(gpu={"count": 1, "tolerations": [taint]}, pod={"tolerations": [taint, lost]})[
        "spec"
    ]["tolerations"]

    assert found == [
        taint,
        lost,
        lost | {"key": "node.kubernetes.io/not-ready", "tolerationSeconds": 30},
    ]


def test_selectors_of_gpu_and_pod_join() -> None:
    found = template(
        gpu={"count": 1, "nodeSelector": {"gpu": "a100"}}, pod={"nodeSelector": {"zone": "b"}}
    )["spec"]

    assert found["nodeSelector"] == {"gpu": "a100", "zone": "b"}


def test_what_is_not_given_is_left_out() -> None:
    found = template(pod={"labels": {"a": "b"}})["spec"]

    for name in ("nodeSelector", "affinity", "imagePullSecrets", "runtimeClassName"):
        assert name not in found


def test_a_spread_of_ones_own_replaces_ours() -> None:
    mine = {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}

    found = template(pod={"topologySpreadConstraints": [mine]})["spec"]

    assert found["topologySpreadConstraints"] == [mine]


@pytest.mark.parametrize(
    ("egress", "rules"),
    [
        ([], []),
        ([{"cidr": "10.1.0.0/16"}], [{"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}]),
        (
            [{"cidr": "10.1.0.0/16", "ports": [443, 80]}],
            [
                {
                    "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
                    "ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 80}],
                }
            ],
        ),
    ],
)
def test_egress_is_what_was_asked_for(egress: list[Json], rules: list[Json]) -> None:
    spec = network_policy(pool(egress=egress), settings())["spec"]

    assert spec["egress"][2:] == rules
    assert "ingress" not in spec, "an empty list would be written again and again"


def test_the_internet_is_not_the_clusters_own() -> None:
    (_, _, rule) = network_policy(pool(egress=[{"internet": True}]), settings())["spec"]["egress"]
    four, six = (each["ipBlock"] for each in rule["to"])

    assert "169.254.0.0/16" in four["except"]
    assert "10.0.0.0/8" in four["except"]
    assert "fc00::/7" in six["except"]


def test_dns_outside_of_pods_can_be_named() -> None:
    asked = settings(dns_cidrs=("169.254.20.10/32",))
    dns = network_policy(pool(), asked)["spec"]["egress"][1]

    assert dns["to"][1] == {"ipBlock": {"cidr": "169.254.20.10/32"}}


def test_a_pool_may_be_named_default() -> None:
    """Every namespace has a ServiceAccount of that name."""
    assert child_name(DEPLOYMENT, "default") == "default"
    assert child_name(CONFIG_MAP, "default") == "pythonpool-default"


def test_the_workers_file_has_nothing_that_may_change_live() -> None:
    text = worker_file(pool())

    for field in ("replicas", "queue", "recycle", "onDisconnect", "env", "egress"):
        assert f'"{field}"' not in text
    assert '"adapter":"general"' in text
    assert '"memoryBytes":536870912' in text


def test_the_config_map_keeps_the_files_of_living_pods() -> None:
    new = pool(concurrency=2)
    live = {"data": {"worker-old.json": "old", "worker-gone.json": "gone"}}
    pods: list[Json] = [
        {"metadata": {"annotations": {"pythonpool.dev/config": "old"}}},
        {"metadata": {"annotations": {"pythonpool.dev/config": "never-seen"}}},
        {"metadata": {}},
    ]

    data = files(new, live, pods)

    assert data == {
        f"worker-{worker_hash(new)}.json": worker_file(new),
        "worker-old.json": "old",
    }
