"""Whose pod a token speaks for: verified against the cluster's public keys, without asking anybody.

Called by the link server at each HELLO. Keys come from `keys.py`.
"""

from dataclasses import dataclass
from typing import Any

import jwt

_MAX_TOKEN = 16_384
_LEEWAY_SECONDS = 10
# What API servers sign with; a symmetric one would take a public key for a secret.
_ALGORITHMS = {"RSA": ["RS256"], "EC": ["ES256", "ES384", "ES512"]}
_CLAIMS = ["aud", "exp", "iss", "sub"]


class TokenRefused(Exception):
    """The token proves nothing; the text says why."""


class UnknownKey(TokenRefused):
    """It is signed by a key that is not known (yet)."""


@dataclass(frozen=True, slots=True)
class PodIdentity:
    """A pod, as the API server vouches for it."""

    namespace: str
    account: str
    pod: str
    uid: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token says, unproved: the pod, and when it ends in seconds since 1970."""

    identity: PodIdentity
    ends: float


class Verifier:
    """Knows issuer and keys; `audience` is the one that tokens must be made for."""

    def __init__(self, audience: str) -> None:
        self._audience = audience
        self._issuer = ""
        self._keys: dict[str, jwt.PyJWK] = {}

    def learn(self, issuer: str, key_set: dict[str, Any]) -> None:
        """From now on these keys of this issuer are good, and no others.

        Raises:
            ValueError: it is no set of keys.
        """
        try:
            rows = key_set["keys"]
            keys = {row["kid"]: jwt.PyJWK(row) for row in rows if row.get("kty") in _ALGORITHMS}
        except (KeyError, TypeError, AttributeError, jwt.PyJWTError) as error:
            raise ValueError(f"a JSON Web Key Set that is none: {error!r}") from error
        if not keys or not issuer:
            raise ValueError("a JSON Web Key Set without a key, or no issuer")
        self._issuer, self._keys = issuer, keys

    def verify(self, token: str) -> PodIdentity:
        """The pod that the token was made for.

        Raises:
            UnknownKey: fetch the keys again.
            TokenRefused: it is not a good one.
        """
        if len(token) > _MAX_TOKEN:
            raise TokenRefused("a token that is too long")
        try:
            kid = jwt.get_unverified_header(token).get("kid", "")
            key = self._keys.get(kid)
            if key is None:
                raise UnknownKey(f"the token is signed by a key that is not known: {kid!r:.80}")
            claims = jwt.decode(
                token,
                key.key,
                algorithms=_ALGORITHMS[str(key.key_type)],
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": _CLAIMS, "strict_aud": False},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(f"the token is refused: {error}") from None
        return _identity(claims)


def read_unproved(token: str) -> Claimed:
    """What the token claims; anybody could have written it.

    Raises:
        TokenRefused: it is none.
    """
    try:
        claims = jwt.decode(token, options={"verify_signature": False})
        return Claimed(_identity(claims), float(claims["exp"]))
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise TokenRefused(f"the token is refused: {error!r}") from None


def _identity(claims: dict[str, Any]) -> PodIdentity:
    """The claims of a projected token; one that is bound to no pod speaks for none."""
    try:
        said = claims["kubernetes.io"]
        identity = PodIdentity(
            said["namespace"],
            said["serviceaccount"]["name"],
            said["pod"]["name"],
            said["pod"]["uid"],
        )
    except (KeyError, TypeError):
        raise TokenRefused("the token is bound to no pod") from None
    if claims["sub"] != f"system:serviceaccount:{identity.namespace}:{identity.account}":
        raise TokenRefused("the token's subject is not its service account")
    return identity
