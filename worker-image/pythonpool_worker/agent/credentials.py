"""What proves to a router whose worker this is: the pool's secret, or the pod's token."""

from pathlib import Path


class Secret:
    """One machine: the pool's secret, which the supervisor handed over."""

    def __init__(self, text: str) -> None:
        self._text = text

    def members(self) -> dict[str, str]:
        """What it adds to a HELLO."""
        return {"secret": self._text}


class TokenFile:
    """Cluster: the pod's projected token, which the kubelet renews; read at each HELLO."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def members(self) -> dict[str, str]:
        """What it adds to a HELLO.

        Raises:
            OSError: the file can not be read.
        """
        return {"token": self._path.read_text().strip()}


Credential = Secret | TokenFile
