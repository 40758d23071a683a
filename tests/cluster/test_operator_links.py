"""The links' TLS: made, published, renewed and repaired by the operator; on a real API server."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster.kube.apiserver import ApiServer
from operator_stage import POOLS, Api, Json, OperatorProcess, Space, operator, wait

from pythonpool_operator.rotation import Keys, read_keys

SECRET = "pythonpool-link-keys"
LOOKS = ("--link-secret", SECRET, "--resync-seconds", "0.3")
SLOW = ("--link-overlap-seconds", "3600")


class Links:
    """Secret and ConfigMap of a namespace."""

    def __init__(self, space: Space) -> None:
        self.api = space.api
        self.folder = f"/api/v1/namespaces/{space.name}"
        self.secret_path = f"{self.folder}/secrets/{SECRET}"
        self.path = f"{self.folder}/configmaps/pythonpool-link-ca"

    def prepare(self, data: dict[str, str] | None = None) -> None:
        """What the chart makes, or a user."""
        content = {
            name: base64.b64encode(text.encode()).decode() for name, text in (data or {}).items()
        }
        body: Json = {"metadata": {"name": SECRET}, "type": "Opaque", "data": content}
        self.api.ask("POST", f"{self.folder}/secrets", body)

    @property
    def secret(self) -> Json:
        return self.api.get(self.secret_path)

    @property
    def keys(self) -> Keys | None:
        return read_keys(self.secret.get("data") or {})

    def made(self) -> Keys:
        """The keys, waited for."""
        found: Keys = self.api.wait(lambda: self.keys)
        return found

    def published(self) -> str:
        """What workers read."""
        live = self.api.find(self.path)
        return str(live["data"]["ca.crt"]) if live else ""

    def level(self) -> Keys:
        """The keys, once exactly their authorities are published."""

        def is_level() -> Keys | None:
            keys = self.keys
            return keys if keys and self.published() == keys.bundle else None

        found: Keys = self.api.wait(is_level)
        return found

    def rotate(self, what: str) -> None:
        """As a user asks for it."""
        change = {"metadata": {"annotations": {"pythonpool.dev/rotate": what}}}
        self.api.ask("PATCH", self.secret_path, change)


@pytest.fixture
def links(space: Space) -> Links:
    """Those of the test's namespace, with a pool and the chart's empty Secret."""
    space.make()
    made = Links(space)
    made.prepare()
    return made


@contextmanager
def rotating(api: Api, space: Space, *arguments: str) -> Iterator[OperatorProcess]:
    flags = ("--namespace", space.name, *LOOKS, "--rotate-links", *(arguments or SLOW))
    with operator(api, *flags) as running:
        yield running


def test_keys_are_made_and_their_authority_is_published(
    api: Api, space: Space, links: Links
) -> None:
    with rotating(api, space):
        keys = links.level()

    assert keys.certificate is not None
    assert keys.certificate.names == (f"pythonpool-links.{space.name}.svc",)
    assert keys.certificate.is_signed_by(keys.authorities[0])
    owners = api.get(links.path)["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [space.pool()["metadata"]["uid"]]
    assert "finalizers" not in api.get(links.path)["metadata"]


def test_routers_have_keys_before_there_is_a_pool(api: Api, space: Space) -> None:
    links = Links(space)
    links.prepare()
    with rotating(api, space):
        links.made()
        assert api.find(links.path) is None
        space.make()
        links.level()


def test_a_secret_that_comes_late_is_found(api: Api, space: Space) -> None:
    links = Links(space)
    space.make()
    with rotating(api, space) as running:
        api.wait(lambda: f"there is no Secret {SECRET}" in running.log.read_text())
        links.prepare()
        links.level()
        assert running.log.read_text().count("there is no Secret") == 1


def test_idle_means_idle(api: Api, space: Space, links: Links) -> None:
    with rotating(api, space) as running:
        links.level()
        space.settled()
        before = links.secret, api.get(links.path), api.writes()
        until = running.looks() + 8
        wait(lambda: running.looks() >= until)
        assert (links.secret, api.get(links.path), api.writes()) == before
    with rotating(api, space) as again:
        api.wait(lambda: again.looks() >= 4)
        assert (links.secret, api.get(links.path), api.writes()) == before


@pytest.mark.parametrize("drift", ["changed", "deleted", "unlabelled owner"])
def test_drift_is_repaired(api: Api, space: Space, links: Links, drift: str) -> None:
    with rotating(api, space, *SLOW, "--resync-seconds", "600"):
        keys = links.level()
        space.settled()
        if drift == "changed":
            api.ask("PATCH", links.path, {"data": {"ca.crt": "nobody"}})
        elif drift == "deleted":
            api.ask("DELETE", links.path)
        else:
            api.ask("PATCH", links.path, {"metadata": {"ownerReferences": None}})
        api.wait(lambda: links.published() == keys.bundle)
        api.wait(lambda: api.get(links.path)["metadata"].get("ownerReferences"))


def test_a_strangers_object_is_left_alone(api: Api, space: Space, links: Links) -> None:
    body = {"metadata": {"name": "pythonpool-link-ca"}, "data": {"ca.crt": "theirs"}}
    theirs = api.ask("POST", f"{links.folder}/configmaps", body)
    with rotating(api, space) as running:
        links.made()
        words = "ConfigMap pythonpool-link-ca is not the operator's and is left alone"
        api.wait(lambda: words in running.log.read_text())
        assert api.get(links.path) == theirs
        api.ask("DELETE", links.path)
        links.level()


def test_it_stays_while_one_pool_stays(api: Api, space: Space, links: Links) -> None:
    """Kubernetes deletes it with the last owner: so the pools that are left must own it."""
    for number in range(4):
        space.make(f"more-{number}")

    def owners() -> set[str]:
        live = api.get(links.path)
        return {owner["name"] for owner in live["metadata"]["ownerReferences"]}

    with rotating(api, space):
        links.level()
        api.wait(lambda: len(owners()) == 3)
        leaving = owners()
        for name in leaving:
            api.ask("DELETE", f"{POOLS.format(space.name)}/{name}?propagationPolicy=Background")
        everybody = {"shop", *(f"more-{number}" for number in range(4))}
        api.wait(lambda: owners() == everybody - leaving)


def test_an_authority_changes_in_steps_and_no_worker_is_left_behind(
    api: Api, space: Space, links: Links
) -> None:
    with rotating(api, space, "--link-overlap-seconds", "2"):
        before = links.level()
        links.rotate("authority")
        api.wait(lambda: (links.keys or before).is_changing)
        changing = links.level()
        assert changing.authorities[1:] == before.authorities
        assert changing.certificate == before.certificate, "published, and not used yet"

        api.wait(lambda: not links.made().is_changing)
        after = links.level()

    assert after.certificate is not None
    assert after.certificate.is_signed_by(changing.authorities[0])
    assert after.authorities == changing.authorities, "routers may show the old one for a while"
    assert "annotations" not in links.secret["metadata"]


def test_a_certificate_is_renewed_on_request(api: Api, space: Space, links: Links) -> None:
    with rotating(api, space):
        before = links.level()
        links.rotate("certificate")
        api.wait(lambda: links.made().certificate != before.certificate)
        assert links.made().authorities == before.authorities


def test_short_lives_are_renewed_by_themselves(api: Api, space: Space, links: Links) -> None:
    lives = ("--link-authority-seconds", "32", "--link-certificate-seconds", "8")
    with rotating(api, space, *lives, "--link-overlap-seconds", "1"):
        first = links.level()
        api.wait(lambda: links.made().certificate != first.certificate)
        api.wait(lambda: first.authorities[0] not in links.made().authorities, 60)
        keys = links.level()
    assert keys.certificate is not None
    assert keys.certificate.is_signed_by(keys.authorities[0])


def test_wiped_keys_are_made_again_beside_the_old_authority(
    api: Api, space: Space, links: Links
) -> None:
    with rotating(api, space):
        before = links.level()
        api.ask("PATCH", links.secret_path, {"data": None})
        api.wait(lambda: links.keys)
        after = links.level()
    assert after.authorities[1:] == before.authorities


def test_several_namespaces_have_keys_of_their_own(
    api: Api, space: Space, spaces: Callable[[str], Space], links: Links
) -> None:
    other = spaces("b")
    other.make()
    second = Links(other)
    second.prepare()
    with rotating(api, space, *SLOW, "--namespace", other.name):
        one, two = links.level(), second.level()
    assert set(map(_text, one.authorities)).isdisjoint(map(_text, two.authorities))


def _text(certificate: Any) -> str:
    return str(certificate.text)


def test_a_named_secret_is_only_read(api: Api, space: Space, links: Links) -> None:
    """The user's own, or one that cert-manager keeps: its authority is published as it is."""
    with rotating(api, space):
        texts = links.level()
    api.ask("DELETE", links.secret_path)
    api.ask("DELETE", links.path)
    assert texts.certificate is not None
    named = {"tls.crt": texts.certificate.text, "tls.key": texts.key, "ca.crt": texts.bundle}
    links.prepare(named)
    before = links.secret

    with operator(api, "--namespace", space.name, *LOOKS) as running:
        api.wait(lambda: links.published() == texts.bundle)
        links.api.ask("PATCH", links.secret_path, {"data": {"ca.crt": _encoded("none")}})
        words = f"ca.crt of Secret {SECRET} must be certificates as PEM"
        api.wait(lambda: words in running.log.read_text())
        assert links.published() == texts.bundle, "what was good stays"
        renewed = texts.bundle * 2
        links.api.ask("PATCH", links.secret_path, {"data": {"ca.crt": _encoded(renewed)}})
        api.wait(lambda: links.published() == renewed)

    after = links.secret
    assert {**after["data"], "ca.crt": ""} == {**before["data"], "ca.crt": ""}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_no_secret_named_leaves_all_alone(api: Api, space: Space, links: Links) -> None:
    with operator(api, "--namespace", space.name, "--resync-seconds", "0.3") as running:
        space.settled()
        until = running.looks() + 4
        wait(lambda: running.looks() >= until)
    assert links.keys is None
    assert api.find(links.path) is None


def test_neither_apply_nor_an_upgrade_wipes_the_keys(
    apiserver: ApiServer, api: Api, space: Space
) -> None:
    """The chart's manifest has no data; whoever applies it again takes nothing away."""
    links = Links(space)
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "Opaque"}
    where = ("apply", "-n", space.name, "-f", "-")
    apiserver.kubectl(*where, text_in=json.dumps(body))
    with rotating(api, space):
        before = links.made()
        body["metadata"] = {"name": SECRET, "labels": {"helm.sh/chart": "pythonpool-0.2.0"}}
        apiserver.kubectl(*where, text_in=json.dumps(body))
        apiserver.kubectl(*where, "--server-side", "--force-conflicts", text_in=json.dumps(body))
        assert links.made().key == before.key
