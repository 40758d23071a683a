"""Certificates of links over simulated years: renewed in time, and never one that nobody trusts."""

import base64
import datetime as dt
from dataclasses import dataclass, field

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from pythonpool_operator import bundle
from pythonpool_operator.certificates import for_secret, from_secret, make_authority, read_all
from pythonpool_operator.rotation import Facts, Keys, Step, carry_out, decide, read_keys
from pythonpool_operator.settings import Lives, parse

HOUR, DAY = 3600.0, 86_400.0
START = 1_800_000_000.0
NAMES = ("pythonpool-links.shop.svc",)
LIVES = Lives()
SLOWEST = 10 * 60.0
"""Seconds after which all have read a changed file: a kubelet needs two minutes."""


def trusts(authorities: str, certificate: str, now: float) -> bool:
    """Whether a worker with these authorities takes a router with this certificate."""
    store = Store(x509.load_pem_x509_certificates(authorities.encode()))
    moment = dt.datetime.fromtimestamp(now, dt.UTC)
    verifier = PolicyBuilder().store(store).time(moment)
    try:
        verifier.build_server_verifier(x509.DNSName(NAMES[0])).verify(
            x509.load_pem_x509_certificate(certificate.encode()), []
        )
    except VerificationError:
        return False
    return True


@dataclass
class World:
    """A namespace: its Secret, what is published, and what the slowest have read."""

    now: float = START
    lives: Lives = LIVES
    data: dict[str, str] = field(default_factory=dict)
    published: str = ""
    since: float = 0.0
    names: tuple[str, ...] = NAMES
    is_published: bool = True
    steps: list[tuple[float, Step]] = field(default_factory=list)
    shown: list[tuple[float, str]] = field(default_factory=list)
    trusted: list[tuple[float, str]] = field(default_factory=list)

    @property
    def keys(self) -> Keys:
        found = read_keys(self.data)
        assert found is not None
        return found

    def look(self, asked: str = "") -> Step:
        """What the operator does at one look."""
        keys = read_keys(self.data)
        text = keys.bundle if keys else ""
        since = self.since if text == self.published else None
        facts = Facts(self.now, since, self.names, asked)
        step = decide(keys, facts, self.lives)
        if step is not Step.NOTHING:
            self.data = carry_out(step, keys, self.published, facts, self.lives, "links")
            self.steps.append((self.now, step))
            self.shown.append((self.now, from_secret(self.data, "tls.crt")))
        text = from_secret(self.data, "ca.crt")
        if self.is_published and text != self.published:
            self.published, self.since = text, self.now
            self.trusted.append((self.now, text))
        return step

    def settle(self) -> None:
        """Look until nothing is to be done."""
        while self.look() is not Step.NOTHING:
            pass

    def check(self) -> None:
        """Every worker takes every router, however late either has read its files."""
        for certificate in self.in_use(self.shown):
            for authorities in self.in_use(self.trusted):
                assert trusts(authorities, certificate, self.now), self.steps[-3:]

    def in_use(self, written: list[tuple[float, str]]) -> list[str]:
        """What some have read: all of the last minutes, and the one before."""
        late = [text for when, text in written if when > self.now - SLOWEST]
        old = [text for when, text in written if when <= self.now - SLOWEST]
        return [*old[-1:], *late]


def counted(world: World) -> dict[Step, int]:
    kinds = [step for _, step in world.steps]
    return {kind: kinds.count(kind) for kind in set(kinds)}


def test_five_years_without_a_router_that_somebody_refuses() -> None:
    world = World()
    world.settle()
    world.now += SLOWEST
    while world.now < START + 5 * 365 * DAY:
        if world.look() is not Step.NOTHING:
            assert world.look() is Step.NOTHING, "one write for each change"
        is_new = world.now - world.steps[-1][0] < 3 * HOUR
        world.check()
        world.now += SLOWEST / 2 if is_new else 3 * DAY

    found = counted(world)
    assert found[Step.BEGIN] == 1
    assert found[Step.AUTHORITY] == found[Step.FORGET] == 3  # after two thirds of two years
    assert 28 <= found[Step.CERTIFICATE] <= 36  # each 57 to 63 days, and after each authority
    assert len(world.steps) < 45, "nothing is written in between"


def test_a_certificate_is_renewed_while_a_third_of_its_life_is_left() -> None:
    world = World()
    world.settle()
    first = world.keys.certificate
    assert first is not None
    world.now += 50 * DAY
    while world.look() is Step.NOTHING:
        world.now += HOUR
    assert world.steps[-1][1] is Step.CERTIFICATE
    assert 26 * DAY < first.ends - world.now < 34 * DAY
    assert len(world.keys.authorities) == 1


def test_two_do_not_renew_at_the_same_moment() -> None:
    moments = set()
    for _ in range(8):
        world = World()
        world.settle()
        world.now += 56 * DAY
        while world.look() is Step.NOTHING:
            world.now += 4 * HOUR
        moments.add(world.now)
    assert len(moments) > 4


def test_a_new_authority_signs_after_it_was_published_and_the_old_one_stays() -> None:
    world = World()
    world.settle()
    (old,) = world.keys.authorities
    world.now += DAY

    assert world.look("authority") is Step.AUTHORITY
    new = world.keys.authorities[0]
    assert world.keys.authorities == (new, old)
    assert world.keys.is_changing
    world.now += LIVES.overlap_seconds - 1
    assert world.look() is Step.NOTHING
    world.now += 1
    assert world.look() is Step.CERTIFICATE
    shown = world.keys.certificate
    assert shown is not None
    assert shown.is_signed_by(new)
    world.now += LIVES.certificate_seconds - LIVES.overlap_seconds - 60
    world.settle()
    assert old in world.keys.authorities
    world.now += 60
    assert world.look() is Step.FORGET
    assert list(world.keys.authorities) == [new]


def test_what_workers_can_not_read_is_not_used() -> None:
    """The API server refused the ConfigMap, or somebody keeps on changing it."""
    world = World()
    world.settle()
    world.is_published = False
    assert world.look("authority") is Step.AUTHORITY
    world.now += 10 * DAY
    assert world.look() is Step.NOTHING
    world.is_published = True
    world.look()
    world.now += LIVES.overlap_seconds
    assert world.look() is Step.CERTIFICATE


def test_who_asks_again_meanwhile_does_not_cut_the_wait_short() -> None:
    world = World()
    world.settle()
    world.look("authority")
    before = world.data
    assert world.look("authority") is Step.NOTHING
    assert world.look("certificate") is Step.NOTHING
    assert world.data == before


def test_an_authority_whose_key_was_seen_goes_at_once() -> None:
    world = World()
    world.settle()
    old = world.published
    world.look("authority")
    assert world.look("now") is Step.ANEW
    assert len(world.keys.authorities) == 1
    assert not trusts(old, from_secret(world.data, "tls.crt"), world.now)
    assert not trusts(world.published, world.shown[0][1], world.now)
    assert world.look() is Step.NOTHING


def test_however_often_one_asks_the_bundle_stays_small() -> None:
    world = World()
    world.settle()
    for _ in range(40):
        world.look("authority")
        world.now += LIVES.overlap_seconds
        world.look()
        world.check()
    assert len(world.keys.authorities) == 16
    world.now += LIVES.certificate_seconds
    world.settle()
    assert len(world.keys.authorities) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        {},
        {"tls.crt": "", "tls.key": ""},
        {"ca.crt": for_secret("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")},
        {"ca.key": for_secret("no key")},
        {"ca.key": "%%%"},
        {"tls.key": base64.b64encode(b"\xff\xfe").decode()},
        {"ca.crt": for_secret(make_authority("another", START, DAY).certificate.text)},
    ],
    ids=["wiped", "no certificate", "broken", "no key", "no base64", "no text", "another's"],
)
def test_lost_keys_are_made_anew_and_the_old_authority_stays_published(
    spoil: dict[str, str],
) -> None:
    """Routers show what they have read until their kubelet brings the new."""
    world = World()
    world.settle()
    world.now += DAY
    world.data = world.data | spoil if spoil else {}

    world.settle()

    shown = from_secret(world.data, "tls.crt")
    assert trusts(world.published, shown, world.now)
    for _, certificate in world.shown:
        assert trusts(world.published, certificate, world.now)


def test_an_operator_that_slept_for_years_begins_anew() -> None:
    world = World()
    world.settle()
    world.now += 1000 * DAY
    assert world.look() is Step.BEGIN
    assert trusts(world.published, from_secret(world.data, "tls.crt"), world.now)
    assert len(world.keys.authorities) == 1


def test_a_certificate_never_outlives_its_authority() -> None:
    world = World(lives=Lives(400 * DAY, 90 * DAY, HOUR))
    world.settle()
    world.now += 380 * DAY
    world.is_published = False  # so that no new authority is used
    world.settle()
    old = world.keys.authorities[-1]
    assert world.keys.certificate is not None
    assert world.keys.certificate.ends <= old.ends


def test_another_name_of_the_service_is_a_reason() -> None:
    world = World()
    world.settle()
    world.names = ("links.shop.svc",)
    assert world.look() is Step.CERTIFICATE
    assert world.keys.certificate is not None
    assert world.keys.certificate.names == world.names


def test_private_keys_stay_private() -> None:
    world = World()
    world.settle()
    assert "PRIVATE KEY" not in world.published
    authority, certificate = world.keys.authority_key, world.keys.key
    assert authority != certificate


POOLS = [
    {"metadata": {"name": name, "uid": f"uid-{name}", "namespace": "shop"}}
    for name in ("a", "b", "c", "d")
]


def test_the_bundle_goes_with_the_last_pools_and_stays_with_its_owners() -> None:
    first = bundle.owners_of(None, POOLS[1:])
    assert [pool["metadata"]["name"] for pool in first] == ["b", "c", "d"]
    live = bundle.manifest("shop", "links", "text", first, 0.0)
    assert bundle.owners_of(live, POOLS) == first
    leaving = {"metadata": POOLS[1]["metadata"] | {"deletionTimestamp": "now"}}
    names = [
        pool["metadata"]["name"] for pool in bundle.owners_of(live, [POOLS[0], leaving, *POOLS[2:]])
    ]
    assert names == ["c", "d", "a"]
    assert not any("controller" in each for each in live["metadata"]["ownerReferences"])


def test_a_changed_bundle_says_since_when() -> None:
    live = bundle.manifest("shop", "links", "text", POOLS, 1234.0)
    assert bundle.published_at(live, "text") == 1234.0
    assert bundle.published_at(live, "other") is None
    assert bundle.published_at(None, "") is None
    live["metadata"]["annotations"] = {}
    assert bundle.published_at(live, "text") is None
    assert bundle.is_ours(live)
    live["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    assert not bundle.is_ours(live)


def test_what_is_no_certificate_is_said() -> None:
    with pytest.raises(ValueError):
        read_all("no certificate")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--link-overlap-seconds=3000000", "overlap-seconds must be at most a quarter"),
        ("--link-overlap-seconds=-1", "overlap-seconds must be at most a quarter"),
        ("--link-authority-seconds=7776000", "certificate-seconds must be at most a quarter"),
    ],
)
def test_lives_that_leave_no_time_are_refused(
    flags: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ["--agent-image", "core:1", "--api-server", "https://there", "--link-secret", "keys"]
    with pytest.raises(SystemExit):
        parse([*usual, "--rotate-links", flags], {})
    assert words in capsys.readouterr().err


def test_without_a_secret_links_are_left_alone() -> None:
    usual = ["--agent-image", "core:1", "--api-server", "https://there"]
    assert parse(usual, {}).links is None
    named = parse([*usual, "--link-secret", "mine"], {}).links
    assert named is not None
    assert (named.secret, named.lives) == ("mine", None)
