"""Certificates for links: made, read, compared. The only module that knows `cryptography`."""

import base64
import datetime as dt
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Clocks of nodes differ a little; a certificate is good before it is made.
EARLY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.

    Attributes:
        made_at: seconds since 1970.
        ends: seconds since 1970.
        names: DNS names that it is for; an authority has none.
        draw: a number from 0 to 1 that is its own: for jitter that needs no memory.
    """

    content: x509.Certificate
    made_at: float
    ends: float
    names: tuple[str, ...]
    draw: float

    @property
    def text(self) -> str:
        """As PEM."""
        return self.content.public_bytes(serialization.Encoding.PEM).decode()

    def is_signed_by(self, authority: "Certificate") -> bool:
        """Whether this authority's key has signed it."""
        try:
            self.content.verify_directly_issued_by(authority.content)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def has_key(self, key: str) -> bool:
        """Whether the private key, as PEM, is its own."""
        try:
            found = serialization.load_pem_private_key(key.encode(), None)
        except (ValueError, TypeError):
            return False
        return found.public_key() == self.content.public_key()


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key as PEM."""

    certificate: Certificate
    key: str


def read_all(text: str) -> list[Certificate]:
    """All certificates of a PEM text, in order.

    Raises:
        ValueError: there is none, or one that can not be read.
    """
    return [_read(each) for each in x509.load_pem_x509_certificates(text.encode())]


def make_authority(name: str, now: float, life_seconds: float) -> Pair:
    """A new authority that signs itself; two of one name are told apart by their keys."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    serial = x509.random_serial_number()
    subject = _name(f"{name[:40]} {serial % 16**8:08x}")
    builder = (
        _builder(serial, now, now + life_seconds)
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _signed(builder, key, key)


def make_certificate(
    authority: Pair, names: tuple[str, ...], now: float, life_seconds: float
) -> Pair:
    """A certificate for a server of these names, which never outlives its authority."""
    signer = serialization.load_pem_private_key(authority.key.encode(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    builder = (
        _builder(x509.random_serial_number(), now, min(now + life_seconds, issuer.ends))
        .subject_name(_name("pythonpool links"))
        .issuer_name(issuer.content.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(alternatives, critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(server, critical=False)
    )
    return _signed(builder, signer, key)


def from_secret(data: dict[str, str], key: str) -> str:
    """A value of a Secret's `data` as text; empty when it is missing or no text."""
    try:
        return base64.b64decode(data.get(key) or "").decode()
    except ValueError:
        return ""


def for_secret(text: str) -> str:
    """Text as a Secret's `data` has it."""
    return base64.b64encode(text.encode()).decode()


def _read(content: x509.Certificate) -> Certificate:
    names: tuple[str, ...] = ()
    extensions = content.extensions
    for each in extensions:
        if isinstance(each.value, x509.SubjectAlternativeName):
            names = tuple(each.value.get_values_for_type(x509.DNSName))
    begins = content.not_valid_before_utc.timestamp()
    ends = content.not_valid_after_utc.timestamp()
    draw = content.serial_number % 10_007 / 10_007
    return Certificate(content, begins + EARLY_SECONDS, ends, names, draw)


def _builder(serial: int, now: float, ends: float) -> x509.CertificateBuilder:
    begins = dt.datetime.fromtimestamp(now - EARLY_SECONDS, dt.UTC)
    return (
        x509.CertificateBuilder()
        .serial_number(serial)
        .not_valid_before(begins)
        .not_valid_after(dt.datetime.fromtimestamp(ends, dt.UTC))
    )


def _signed(
    builder: x509.CertificateBuilder,
    signer: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
) -> Pair:
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Pair(_read(builder.sign(signer, hashes.SHA256())), private.decode())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
