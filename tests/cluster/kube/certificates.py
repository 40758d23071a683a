"""The cluster's own certificate authority, by openssl: P-256 keys, valid for a year."""

from dataclasses import dataclass
from pathlib import Path

from cluster.kube.steps import run

DAYS = "365"


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority that lives in `folder`."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The authority's own certificate, for those who check."""
        return self.folder / "ca.crt"

    def issue(self, name: str, subject: str, addresses: tuple[str, ...] = ()) -> Pair:
        """A certificate for servers and clients, in NAME.crt and NAME.key.

        Args:
            subject: in openssl's form, e.g. "/O=system:masters/CN=admin".
            addresses: names and IPv4 addresses of a server.
        """
        pair = Pair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        names = ",".join(_alternative(address) for address in addresses or (name,))
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(
            f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n"
            "basicConstraints=critical,CA:FALSE\n"
        )
        make_key(pair.key)
        request = run("openssl", "req", "-new", "-key", pair.key, "-subj", subject)
        signer = ("-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-CAcreateserial")
        files = ("-extfile", extensions, "-out", pair.certificate)
        run("openssl", "x509", "-req", "-days", DAYS, *signer, *files, text_in=request)
        return pair


def make_authority(folder: Path) -> Authority:
    """Make a new authority in `folder`, which is made too."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "ca.key"
    make_key(key)
    subject = ("-subj", "/CN=pythonpool-cluster")
    out = ("-days", DAYS, "-out", folder / "ca.crt")
    run("openssl", "req", "-x509", "-new", "-key", key, *subject, *out)
    return Authority(folder)


def make_key(path: Path) -> None:
    """Write a new P-256 key to `path`, readable by its owner alone."""
    path.touch(mode=0o600)
    run("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", path)


def make_rsa_key(path: Path) -> None:
    """Write a new RSA key of 2048 bits to `path`, readable by its owner alone."""
    path.touch(mode=0o600)
    run("openssl", "genrsa", "-out", path, "2048")


def _alternative(name: str) -> str:
    return f"IP:{name}" if name.replace(".", "").isdigit() else f"DNS:{name}"
