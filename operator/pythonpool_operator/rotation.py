"""When certificates of links are made anew, and by whom they are signed: the decision alone. Pure.

A new authority is first published beside the old one; it signs when every worker has had time to
read it. An old one stays published until no certificate that it has signed can be alive: its key
is forgotten when the new one is made, so that is one certificate's life later.
"""

from dataclasses import dataclass
from enum import Enum

from pythonpool_operator.certificates import (
    Certificate,
    Pair,
    for_secret,
    from_secret,
    make_authority,
    make_certificate,
    read_all,
)
from pythonpool_operator.settings import Lives

# New ones are made after about two thirds of a life; which part, a certificate draws by itself.
_DUE_FROM, _DUE_TO = 0.63, 0.70
# However often somebody asks for new ones, the bundle stays small.
_MOST_AUTHORITIES = 16
CERTIFICATE, KEY, AUTHORITIES, AUTHORITY_KEY = "tls.crt", "tls.key", "ca.crt", "ca.key"


@dataclass(frozen=True, slots=True)
class Keys:
    """What the Secret holds.

    Attributes:
        authorities: newest first; all are published.
        authority_key: of the newest, as PEM; older ones sign no more.
        certificate: what routers show; None: there is none that can be used.
        key: its private key, as PEM.
    """

    authorities: tuple[Certificate, ...]
    authority_key: str
    certificate: Certificate | None
    key: str

    @property
    def bundle(self) -> str:
        """All authorities as PEM."""
        return "".join(each.text for each in self.authorities)

    @property
    def is_changing(self) -> bool:
        """A new authority is published and has not signed yet."""
        shown = self.certificate
        return shown is not None and not shown.is_signed_by(self.authorities[0])


class Step(Enum):
    """What is to be done now; one at a time."""

    NOTHING = "nothing"
    BEGIN = "new authority and certificate"
    ANEW = "new authority and certificate, the old ones are trusted no more"
    AUTHORITY = "new authority, published first"
    CERTIFICATE = "new certificate"
    FORGET = "an old authority is no longer published"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a decision is made from, beside the keys.

    Attributes:
        now: seconds since 1970.
        published_at: since when workers have been able to read exactly this bundle; None: they are
            not yet. With no workers at all it is 0.
        names: DNS names that routers are dialled by.
        asked: what a user asks for: `certificate`; `authority`, in steps; `now`, the same at once,
            without the old one, whose key has been seen by others; or nothing.
    """

    now: float
    published_at: float | None
    names: tuple[str, ...]
    asked: str = ""


def read_keys(data: dict[str, str]) -> Keys | None:
    """The keys of a Secret's `data`; None: there are none, or none that can sign."""
    try:
        authorities = read_all(from_secret(data, AUTHORITIES))
    except ValueError:
        return None
    authority_key = from_secret(data, AUTHORITY_KEY)
    if not authorities[0].has_key(authority_key):
        return None
    certificate, key = _leaf(data), from_secret(data, KEY)
    if certificate is not None and not (
        certificate.has_key(key) and any(map(certificate.is_signed_by, authorities))
    ):
        certificate = None
    return Keys(tuple(authorities), authority_key, certificate, key)


def decide(keys: Keys | None, facts: Facts, lives: Lives) -> Step:
    """The next step."""
    now = facts.now
    if keys is None or keys.authorities[0].ends <= now:
        return Step.BEGIN
    if facts.asked == "now":
        return Step.ANEW
    shown = keys.certificate
    if shown is None or shown.ends <= now:
        return Step.CERTIFICATE
    if keys.is_changing:
        since = facts.published_at
        waited = since is not None and now - since >= lives.overlap_seconds
        return Step.CERTIFICATE if waited else Step.NOTHING
    if facts.asked == "authority" or _is_due(keys.authorities[0], now):
        return Step.AUTHORITY
    if facts.asked or shown.names != facts.names or _is_due(shown, now):
        return Step.CERTIFICATE
    if len(_kept(keys, now, lives)) < len(keys.authorities):
        return Step.FORGET
    return Step.NOTHING


def carry_out(
    step: Step, keys: Keys | None, published: str, facts: Facts, lives: Lives, name: str
) -> dict[str, str]:
    """The Secret's `data` after a step.

    Args:
        published: the bundle that workers have; when the Secret has lost its own, routers still
            show certificates that one of these authorities has signed.
        name: what authorities are called.
    """
    before = keys.authorities if keys else _readable(published)
    if step in (Step.BEGIN, Step.ANEW, Step.AUTHORITY):
        made = make_authority(name, facts.now, lives.authority_seconds)
        older = () if step is Step.ANEW else before
        authorities = (made.certificate, *older)[:_MOST_AUTHORITIES]
        after = Keys(
            authorities, made.key, keys.certificate if keys else None, keys.key if keys else ""
        )
    else:
        assert keys is not None  # noqa: S101
        after = keys
    if step in (Step.BEGIN, Step.ANEW, Step.CERTIFICATE):
        signer = Pair(after.authorities[0], after.authority_key)
        leaf = make_certificate(signer, facts.names, facts.now, lives.certificate_seconds)
        after = Keys(after.authorities, after.authority_key, leaf.certificate, leaf.key)
    kept = _kept(after, facts.now, lives)
    return _data(Keys(kept, after.authority_key, after.certificate, after.key))


def _kept(keys: Keys, now: float, lives: Lives) -> tuple[Certificate, ...]:
    """The authorities of which a certificate may be alive."""
    newest, *older = keys.authorities
    kept = [newest]
    for newer, each in zip(keys.authorities, older, strict=False):
        until = min(each.ends, newer.made_at + lives.certificate_seconds)
        shown = keys.certificate
        if now < until or (shown is not None and shown.is_signed_by(each)):
            kept.append(each)
    return tuple(kept)


def _is_due(certificate: Certificate, now: float) -> bool:
    life = certificate.ends - certificate.made_at
    part = _DUE_FROM + (_DUE_TO - _DUE_FROM) * certificate.draw
    return now >= certificate.made_at + life * part


def _leaf(data: dict[str, str]) -> Certificate | None:
    try:
        return read_all(from_secret(data, CERTIFICATE))[0]
    except ValueError:
        return None


def _readable(text: str) -> tuple[Certificate, ...]:
    try:
        return tuple(read_all(text))
    except ValueError:
        return ()


def _data(keys: Keys) -> dict[str, str]:
    shown = keys.certificate
    texts = {
        AUTHORITIES: keys.bundle,
        AUTHORITY_KEY: keys.authority_key,
        CERTIFICATE: shown.text if shown else "",
        KEY: keys.key,
    }
    return {name: for_secret(text) for name, text in texts.items()}
