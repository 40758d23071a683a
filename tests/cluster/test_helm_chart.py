"""The chart: what it renders, and that its rights are enough and no more: a real API server."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster.kube.apiserver import ApiServer
from cluster.kube.places import CHECKOUT
from cluster.kube.programs import program
from operator_stage import Api, Json, Refused, Space, operator

from pythonpool_operator.certificates import from_secret

CHART = CHECKOUT / "helm"
MODULES = {
    "pythonpool_operator": "operator",
    "pythonpool_operator.crd": "operator",
    "pythonpool_router": "router",
}


@pytest.fixture(scope="module")
def helm() -> Callable[..., str]:
    """Run helm and return its stdout."""
    if not program("helm").exists():
        pytest.skip("no helm on this machine; `make cluster` makes it")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program("helm"), *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ValueError(done.stderr)
        return done.stdout

    return run


def rendered(helm: Callable[..., str], namespace: str, *options: str) -> list[Json]:
    text = helm("template", "pythonpool", str(CHART), "--namespace", namespace, *options)
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(found: list[Json], kind: str, name: str = "") -> list[Json]:
    return [
        each
        for each in found
        if each["kind"] == kind and (not name or each["metadata"]["name"] == name)
    ]


def test_the_chart_is_clean(helm: Callable[..., str]) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_its_pools_are_those_of_the_examples(helm: Callable[..., str]) -> None:
    pools = of_kind(rendered(helm, "here"), "PythonPool")
    examples = list(yaml.safe_load_all((CHECKOUT / "examples" / "pools.yaml").read_text()))

    specs = {each["metadata"]["name"]: each["spec"] for each in pools}
    assert specs == {each["metadata"]["name"]: each["spec"] for each in examples}


def test_a_pool_can_be_left_out(helm: Callable[..., str]) -> None:
    pools = of_kind(rendered(helm, "here", "--set", "pools.neural=null"), "PythonPool")

    assert [each["metadata"]["name"] for each in pools] == ["general", "optimizer"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("router.replica=3", "additional properties 'replica' not allowed"),
        ("router.replicas=many", "got string, want integer"),
        ("pools.General.adapter=general", "does not match pattern"),
        ("links.authority=-----BEGIN CERTIFICATE-----", "secretName"),
        ("links.secretName=mine,links.authority=nonsense", "does not match pattern"),
        ("links.secretName=mine,links.certManager.issuerRef.name=x", "maxProperties"),
        ("links.certManager.issuerRef.kind=Issuer", "missing property 'name'"),
        ("links.overlapSeconds=-1", "minimum"),
        ("links.certificateSeconds=7200", "overlapSeconds must be at most a quarter"),
        ("links.authoritySeconds=7776000", "certificateSeconds must be at most a quarter"),
    ],
)
def test_wrong_values_are_refused(helm: Callable[..., str], setting: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        helm("template", "pythonpool", str(CHART), "--set", setting)


def test_its_programs_are_there(helm: Callable[..., str]) -> None:
    commands = [
        container["command"]
        for deployment in of_kind(rendered(helm, "here"), "Deployment")
        for key in ("initContainers", "containers")
        for container in deployment["spec"]["template"]["spec"].get(key, [])
    ]

    assert {command[-1] for command in commands} == set(MODULES)
    assert all(command[:3] == ["python", "-P", "-m"] for command in commands)


def test_the_crd_can_be_left_to_others(helm: Callable[..., str]) -> None:
    """Without `crds.manage` nothing here touches it, and nothing has the right to."""
    kept, left = (
        rendered(helm, "here", "--set", f"crds.manage={word}") for word in ("true", "false")
    )

    def touches(found: list[Json]) -> tuple[int, int]:
        (deployment,) = of_kind(found, "Deployment", "pythonpool-operator")
        rights = [each for each in found if "customresourcedefinitions" in json.dumps(each)]
        pod = deployment["spec"]["template"]["spec"]
        return len(pod.get("initContainers", [])), len(rights)

    assert (touches(kept), touches(left)) == ((1, 1), (0, 0))


def test_no_right_is_wild(helm: Callable[..., str]) -> None:
    for options in ((), ("--set", "operator.allNamespaces=true")):
        found = rendered(helm, "here", *options)
        rules = [
            rule
            for role in [*of_kind(found, "Role"), *of_kind(found, "ClusterRole")]
            for rule in role["rules"]
        ]
        words = {word for rule in rules for key in rule for word in rule[key]}
        assert "*" not in words
        assert not words & {"pods/exec", "escalate", "bind", "impersonate", "delete"}
        secrets = [rule for rule in rules if "secrets" in rule["resources"]]
        names = ["pythonpool-link-keys"]
        assert secrets
        assert all(rule["resourceNames"] == names for rule in secrets)
        assert all(rule["verbs"] == ["get", "patch"] for rule in secrets)


def apply(server: ApiServer, found: list[Json], namespace: str, *options: str) -> None:
    text = yaml.safe_dump_all(found)
    server.kubectl("apply", "-n", namespace, *options, "-f", "-", text_in=text)


def token_of(api: Api, namespace: str, account: str) -> str:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    answer = api.ask("POST", path, {"spec": {}})
    return str(answer["status"]["token"])


def arguments_of(found: list[Json], name: str) -> list[str]:
    (deployment,) = of_kind(found, "Deployment", name)
    return list(deployment["spec"]["template"]["spec"]["containers"][0]["args"])


@pytest.mark.parametrize("option", ["operator.allNamespaces=false", "operator.allNamespaces=true"])
def test_the_operators_rights_are_enough(
    helm: Callable[..., str], apiserver: ApiServer, api: Api, space: Space, option: str
) -> None:
    """The chart goes through an API server whole, and an operator with its account works."""
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.ask("PATCH", f"/api/v1/namespaces/{space.name}", {"metadata": {"labels": label}})
    found = rendered(helm, space.name, "--set", option)
    apply(apiserver, found, space.name)
    flags = [
        flag
        for flag in arguments_of(found, "pythonpool-operator")
        if flag.startswith(("--namespace", "--worker-image", "--agent-image", "--link", "--rotate"))
    ]

    with operator(api, *flags, token=token_of(api, space.name, "pythonpool-operator")) as running:
        for name in ("general", "optimizer", "neural"):
            space.settled(name)
        space.pod({"phase": "Pending"}, "general")
        assert "ERROR" not in running.log.read_text()
        assert " 403 " not in running.log.read_text()
        path = f"/api/v1/namespaces/{space.name}/configmaps/pythonpool-link-ca"
        authority = api.wait(lambda: api.find(path))["data"]["ca.crt"]
        assert authority.startswith("-----BEGIN CERTIFICATE-----")
        apply(apiserver, found, space.name)
        secret = api.get(f"/api/v1/namespaces/{space.name}/secrets/pythonpool-link-keys")
        assert from_secret(secret["data"], "ca.crt") == authority, "nothing is wiped"
        image = space.deployment("neural")["spec"]["template"]["spec"]["initContainers"][0]["image"]
        assert image == "docker.io/pythonpool/worker-neural-gpu:0.1.0"


def test_the_init_container_brings_the_crd_to_its_form(
    helm: Callable[..., str], apiserver: ApiServer, api: Api, space: Space, tmp_path: Path
) -> None:
    apply(apiserver, rendered(helm, space.name), space.name)
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/pythonpools.pythonpool.dev"
    api.ask("PATCH", path, {"spec": {"names": {"shortNames": ["old"]}}})
    token = tmp_path / "token"
    token.write_text(token_of(api, space.name, "pythonpool-operator"))

    command = [sys.executable, "-P", "-m", "pythonpool_operator.crd", "--api-server", api.url]
    files = ["--token-file", str(token), "--ca-file", str(api.ca_file)]
    subprocess.run([*command, *files], check=True, capture_output=True)

    assert api.get(path)["spec"]["names"]["shortNames"] == ["pypool"]


def test_the_routers_account_reads_pools_and_pods_alone(
    helm: Callable[..., str], apiserver: ApiServer, api: Api, space: Space
) -> None:
    apply(apiserver, rendered(helm, space.name), space.name)
    router = Api(apiserver, token_of(api, space.name, "pythonpool-router"))

    names = [
        each["metadata"]["name"]
        for each in router.items(
            f"/apis/pythonpool.dev/v1alpha1/namespaces/{space.name}/pythonpools"
        )
    ]
    assert names == ["general", "neural", "optimizer"]
    assert len(router.items(f"/api/v1/namespaces/{space.name}/pods")) == 1
    with pytest.raises(Refused, match="403"):
        router.items(f"/api/v1/namespaces/{space.name}/secrets")


def rules_for_secrets(found: list[Json]) -> list[Json]:
    rules = [rule for role in of_kind(found, "Role") for rule in role["rules"]]
    return [rule for rule in rules if "secrets" in rule["resources"]]


def link_volume(found: list[Json]) -> Json:
    (router,) = of_kind(found, "Deployment", "pythonpool-router")
    volumes = router["spec"]["template"]["spec"]["volumes"]
    return next(dict(each["secret"]) for each in volumes if each["name"] == "link")


def test_the_operators_keys_are_no_matter_of_the_chart(helm: Callable[..., str]) -> None:
    """An empty Secret that it need not create; no value of it is ever in a manifest."""
    found = rendered(helm, "here")
    (secret,) = of_kind(found, "Secret", "pythonpool-link-keys")

    assert "data" not in secret
    assert "stringData" not in secret
    assert link_volume(found)["secretName"] == "pythonpool-link-keys"
    assert {item["key"] for item in link_volume(found)["items"]} == {"tls.crt", "tls.key"}
    flags = arguments_of(found, "pythonpool-operator")
    assert {"--link-secret=pythonpool-link-keys", "--rotate-links"} <= set(flags)
    assert "--link-certificate-seconds=7776000" in flags
    assert not of_kind(found, "ConfigMap")


def test_a_named_secret_is_read_and_no_more(helm: Callable[..., str]) -> None:
    found = rendered(helm, "here", "--set", "links.secretName=mine")

    names = [each["metadata"]["name"] for each in of_kind(found, "Secret")]
    assert names == ["pythonpool-callers"]
    (rule,) = rules_for_secrets(found)
    assert (rule["resourceNames"], rule["verbs"]) == (["mine"], ["get"])
    assert link_volume(found)["secretName"] == "mine"
    flags = arguments_of(found, "pythonpool-operator")
    assert "--link-secret=mine" in flags
    assert "--rotate-links" not in flags


def test_with_an_authority_given_no_secret_is_read(helm: Callable[..., str]) -> None:
    text = "-----BEGIN CERTIFICATE-----\nAAAA\n"
    values = {"secretName": "mine", "authority": text}
    found = rendered(helm, "here", "--set-json", f"links={json.dumps(values)}")

    (given,) = of_kind(found, "ConfigMap", "pythonpool-link-ca")
    assert given["data"] == {"ca.crt": text}
    assert rules_for_secrets(found) == []
    flags = arguments_of(found, "pythonpool-operator")
    assert not [flag for flag in flags if flag.startswith("--link-secret")]


def test_cert_manager_is_asked_for_the_routers_certificate(helm: Callable[..., str]) -> None:
    issuer = {"name": "internal", "kind": "ClusterIssuer"}
    values = {"certManager": {"issuerRef": issuer}}
    found = rendered(helm, "here", "--set-json", f"links={json.dumps(values)}")

    (certificate,) = of_kind(found, "Certificate")
    assert certificate["apiVersion"] == "cert-manager.io/v1"
    assert certificate["spec"] == {
        "secretName": "pythonpool-link-certificate",
        "issuerRef": issuer,
        "dnsNames": ["pythonpool-links.here.svc"],
        "duration": "7776000s",
        "renewBefore": "2592000s",
        "usages": ["digital signature", "server auth"],
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
    }
    (rule,) = rules_for_secrets(found)
    assert (rule["resourceNames"], rule["verbs"]) == (["pythonpool-link-certificate"], ["get"])
    assert link_volume(found)["secretName"] == "pythonpool-link-certificate"
    names = [each["metadata"]["name"] for each in of_kind(found, "Secret")]
    assert names == ["pythonpool-callers"]


def test_the_right_to_review_tokens_is_asked_for(helm: Callable[..., str]) -> None:
    """It holds in the whole cluster: given only to those who name it."""
    usual = rendered(helm, "here")
    assert "tokenreviews" not in json.dumps(usual)
    assert "--token-review" not in arguments_of(usual, "pythonpool-router")

    found = rendered(helm, "here", "--set", "links.tokenReview=true")

    (role,) = of_kind(found, "ClusterRole", "pythonpool-token-review-here")
    assert [rule["verbs"] for rule in role["rules"]] == [["create"]]
    (binding,) = of_kind(found, "ClusterRoleBinding", "pythonpool-token-review-here")
    assert [each["name"] for each in binding["subjects"]] == ["pythonpool-router"]
    assert "--token-review" in arguments_of(found, "pythonpool-router")


def test_the_values_schema_knows_every_value() -> None:
    """A value without a schema would take anything."""
    values: Any = yaml.safe_load((CHART / "values.yaml").read_text())
    schema: Any = json.loads((CHART / "values.schema.json").read_text())

    for part in values:
        assert part in schema["properties"]
        if part != "pools":
            assert set(values[part]) == set(schema["properties"][part]["properties"])


def test_the_charts_crd_is_the_generated_one() -> None:
    name = "pythonpools.pythonpool.dev.yaml"

    assert (CHART / "crds" / name).read_text() == (CHECKOUT / "crds" / name).read_text()
