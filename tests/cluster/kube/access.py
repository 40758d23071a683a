"""Who speaks to the API server: tokens, and a kubeconfig for each of them."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import yaml

ADMIN = "admin"
GROUPS = {
    ADMIN: "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
    "system:kube-proxy": "",
    "system:coredns": "",
}
"""Users of every cluster, with the group of each."""


@dataclass(frozen=True, slots=True)
class Access:
    """The users of one API server, below `folder`.

    Args:
        url: where the API server is reached.
        authority: file with the certificate that its own is checked by.
    """

    folder: Path
    url: str
    authority: Path

    @property
    def tokens(self) -> Path:
        """File for `--token-auth-file`."""
        return self.folder / "tokens.csv"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of a user that `write_access` was told of."""
        return self.folder / f"{user.replace(':', '-')}.kubeconfig"


def write_access(access: Access, nodes: tuple[str, ...] = ()) -> None:
    """Make new tokens and kubeconfigs for the users in GROUPS and for these nodes."""
    access.folder.mkdir(parents=True, exist_ok=True)
    groups = GROUPS | {f"system:node:{node}": "system:nodes" for node in nodes}
    rows = []
    for user, group in groups.items():
        token = secrets.token_hex(16)
        rows.append(",".join([token, user, user, *([group] if group else [])]))
        write_private(access.kubeconfig(user), _kubeconfig(access, user, token))
    write_private(access.tokens, "\n".join(rows) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def token_of(kubeconfig: Path) -> str:
    """The token in a kubeconfig that `write_access` wrote."""
    return str(json.loads(kubeconfig.read_text())["users"][0]["user"]["token"])


def write_yaml(path: Path, *documents: object) -> Path:
    """Write these objects as the documents of one YAML file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return path


def _kubeconfig(access: Access, user: str, token: str) -> str:
    cluster = {"server": access.url, "certificate-authority": str(access.authority)}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "pythonpool", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "pythonpool", "context": {"cluster": "pythonpool", "user": user}}],
        "current-context": "pythonpool",
    }
    return json.dumps(content, indent=2) + "\n"
