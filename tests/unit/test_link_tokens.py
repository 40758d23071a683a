"""Which tokens speak for a pod, and which do not; verified without asking anybody."""

import time
from typing import Any

import jwt
import pytest
from api_standin import AUDIENCE, ISSUER, Signer, claims_of
from cryptography.hazmat.primitives.asymmetric import ec

from pythonpool_router.cluster.tokens import (
    PodIdentity,
    TokenRefused,
    UnknownKey,
    Verifier,
    read_unproved,
)

ONE = Signer("one")
TWO = Signer("two")


def verifier(*signers: Signer) -> Verifier:
    made = Verifier(AUDIENCE)
    made.learn(ISSUER, {"keys": [signer.public() for signer in signers or (ONE,)]})
    return made


def claims(**changes: Any) -> dict[str, Any]:
    """Claims with `changes`; times are given in seconds from now, so that they hold when used."""
    now = int(time.time())
    changes |= {name: now + changes[name] for name in ("exp", "nbf") if name in changes}
    return claims_of("general-1", "uid-1", "pythonpool-general", **changes)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in claims().items() if key != name}


def test_a_good_token_names_its_pod() -> None:
    found = verifier().verify(ONE.token(claims()))
    assert found == PodIdentity("shop", "pythonpool-general", "general-1", "uid-1")


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": -5},  # clocks of nodes differ a little
        {"nbf": 5},
        {"aud": [AUDIENCE, "another"]},
        {"aud": AUDIENCE},
    ],
)
def test_still_good(changes: dict[str, Any]) -> None:
    assert verifier().verify(ONE.token(claims(**changes))).pod == "general-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": -60},
        {"nbf": 60},
        {"aud": ["https://kubernetes.default.svc"]},
        {"aud": []},
        {"iss": "https://elsewhere"},
        {"sub": "system:serviceaccount:shop:default"},
        {"sub": "system:serviceaccount:other:pythonpool-general"},
        {"kubernetes.io": None},
        {"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": "pythonpool-general"}}},
    ],
)
def test_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(TokenRefused):
        verifier().verify(ONE.token(claims(**changes)))


@pytest.mark.parametrize("name", ["aud", "exp", "iss", "sub", "kubernetes.io"])
def test_a_token_must_say_all(name: str) -> None:
    with pytest.raises(TokenRefused):
        verifier().verify(ONE.token(without(name)))


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "x" * 20_000, "ä.ö.ü"])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(TokenRefused):
        verifier().verify(text)


@pytest.mark.parametrize("end", [10**400, "never", None, []])
def test_an_end_beyond_all_bounds_is_no_defect(end: object) -> None:
    """Anybody could have written what is read before the API server has been asked."""
    with pytest.raises(TokenRefused):
        read_unproved(jwt.encode(claims() | {"exp": end}, "x" * 32, "HS256"))


def test_a_key_that_is_not_known_is_another_matter() -> None:
    with pytest.raises(UnknownKey):
        verifier(ONE).verify(TWO.token(claims()))
    assert verifier(ONE, TWO).verify(TWO.token(claims())).pod == "general-1"


def test_before_the_keys_are_known_nobody_is() -> None:
    with pytest.raises(UnknownKey):
        Verifier(AUDIENCE).verify(ONE.token(claims()))


def test_a_key_that_was_withdrawn_is_not_known_any_more() -> None:
    made = verifier(ONE)
    made.learn(ISSUER, {"keys": [TWO.public()]})
    with pytest.raises(UnknownKey):
        made.verify(ONE.token(claims()))


def test_another_key_under_a_known_name() -> None:
    with pytest.raises(TokenRefused):
        verifier(ONE).verify(Signer("one").token(claims()))


def test_no_algorithm_but_those_of_the_key() -> None:
    """Neither none nor one that would take the public key for a secret."""
    unsigned = jwt.encode(claims(), "", algorithm="none", headers={"kid": "one"})
    secret = "a" * 64
    symmetric = jwt.encode(claims(), secret, algorithm="HS256", headers={"kid": "one"})
    for token in (unsigned, symmetric):
        with pytest.raises(TokenRefused):
            verifier().verify(token)


def test_elliptic_keys_serve_too() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    made = Verifier(AUDIENCE)
    made.learn(ISSUER, {"keys": [{**public, "kid": "curve"}]})
    token = jwt.encode(claims(), key, algorithm="ES256", headers={"kid": "curve"})
    assert made.verify(token).uid == "uid-1"


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"keys": []},
        {"keys": [{"kty": "oct", "k": "aaaa", "kid": "s"}]},
        {"keys": [{"kty": "RSA"}]},
    ],
)
def test_a_set_without_a_good_key_changes_nothing(keys: dict[str, Any]) -> None:
    made = verifier()
    with pytest.raises(ValueError, match="JSON Web Key Set"):
        made.learn(ISSUER, keys)
    assert made.verify(ONE.token(claims())).pod == "general-1"
