"""The folder that holds all finished images, and its way into a node's containerd.

Images share their layers there, uncompressed, and a node is sent only the blobs it does not have.
"""

import hashlib
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cluster.kube.places import Node
from cluster.kube.steps import Failed, environment, run

NAME_FOR_CONTAINERD = "io.containerd.image.name"
LAYER_TAKEN = "failed to prepare extraction snapshot"


@dataclass(frozen=True, slots=True)
class Layout:
    """Blobs named by their SHA-256 as buildah's `dir:` writes them, and a manifest per image."""

    folder: Path

    def add(self, name: str, pushed: Path) -> None:
        """Take over the image `name` from the folder that buildah pushed it to as `dir:`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in pushed.iterdir():
            if path.name not in ("manifest.json", "version"):
                path.rename(self.folder / path.name)
        (pushed / "manifest.json").rename(self._manifest(name))

    def digest(self, name: str) -> str:
        """Digest of the image's manifest, with `sha256:`; empty when there is no such image."""
        manifest = self._manifest(name)
        return _digest(manifest.read_bytes()) if manifest.exists() else ""

    def settings(self, name: str) -> dict[str, Any]:
        """What a container of the image starts with: User, Env, Labels, Entrypoint, …."""
        manifest = json.loads(self._manifest(name).read_text())
        blob = self.folder / manifest["config"]["digest"].removeprefix("sha256:")
        found: dict[str, Any] = json.loads(blob.read_text())["config"]
        return found

    def remove_unused(self) -> None:
        """Delete the blobs that no image needs any more."""
        used = {path for manifest in self._manifests() for path in self._blobs(manifest)}
        for path in self.folder.iterdir():
            if path.suffix != ".manifest" and path not in used:
                path.unlink()

    def send(self, node: Node, names: set[str]) -> None:
        """Load these images into the node's containerd.

        Raises:
            Failed: containerd refused them; with what it said.
        """
        said = self._import(node, names)
        if LAYER_TAKEN in said:
            # Names are taken over before layers are unpacked, and containerd's collector may take a
            # layer of an old image just then. All names are new now: nothing is left to be taken.
            said = self._import(node, names)
        if said:
            raise Failed(f"{node.name}: images were not imported: {said}")

    def _import(self, node: Node, names: set[str]) -> str:
        """Send what the node lacks; what containerd said when it failed, else empty."""
        there = set(ctr(node, "content", "ls", "-q").split())
        importer = subprocess.Popen(
            ["ctr", "-a", str(node.containerd), "-n", "k8s.io", "images", "import", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment(),
        )
        with importer:
            assert importer.stdin is not None
            assert importer.stdout is not None
            # It ends early when it refuses something, and then says why.
            with (
                suppress(BrokenPipeError),
                importer.stdin,
                tarfile.open(fileobj=importer.stdin, mode="w|", bufsize=1 << 20) as archive,
            ):
                self._pack(archive, names, there)
            said = importer.stdout.read().decode(errors="replace")
        return said.strip() or "ctr failed" if importer.returncode != 0 else ""

    def _pack(self, archive: tarfile.TarFile, names: set[str], there: set[str]) -> None:
        manifests = []
        for name in sorted(names):
            content = self._manifest(name).read_bytes()
            _add(archive, f"blobs/sha256/{_digest(content)[7:]}", content)
            manifests.append(
                {
                    "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "digest": _digest(content),
                    "size": len(content),
                    "annotations": {NAME_FOR_CONTAINERD: name},
                }
            )
            for path in self._blobs(self._manifest(name)):
                if f"sha256:{path.name}" not in there:
                    archive.add(path, f"blobs/sha256/{path.name}")
                    there.add(f"sha256:{path.name}")
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        index = {"schemaVersion": 2, "manifests": manifests}
        _add(archive, "index.json", json.dumps(index).encode())

    def _manifests(self) -> list[Path]:
        return list(self.folder.glob("*.manifest"))

    def _manifest(self, name: str) -> Path:
        return self.folder / f"{quote(name, safe='')}.manifest"

    def _blobs(self, manifest: Path) -> Iterator[Path]:
        content: dict[str, Any] = json.loads(manifest.read_text())
        for part in (*content["layers"], content["config"]):
            yield self.folder / part["digest"].removeprefix("sha256:")


def images_of(node: Node) -> set[str]:
    """Names and digests of the images that the node's containerd has, as `NAME@DIGEST`."""
    lines = ctr(node, "images", "ls").splitlines()[1:]
    return {f"{words[0]}@{words[2]}" for words in map(str.split, lines)}


def ctr(node: Node, *arguments: str) -> str:
    """Ask the node's containerd, about what it holds for kubelet."""
    return run("ctr", "-a", node.containerd, "-n", "k8s.io", *arguments)


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _add(archive: tarfile.TarFile, path: str, data: bytes) -> None:
    member = tarfile.TarInfo(path)
    member.size = len(data)
    archive.addfile(member, BytesIO(data))
