"""The folder that holds all images in OCI form, and its way into a node's containerd.

Images share their layers there, and a node is sent only the blobs that it does not have.
"""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from cluster.kube.places import Node
from cluster.kube.steps import Failed, environment, run

NAME = "org.opencontainers.image.ref.name"
NAME_FOR_CONTAINERD = "io.containerd.image.name"


@dataclass(frozen=True, slots=True)
class Layout:
    """An OCI image layout on disk, written by buildah."""

    folder: Path

    def reference(self, name: str) -> str:
        """Where buildah is to push the image `name`."""
        return f"oci:{self.folder}:{name}"

    def digest(self, name: str) -> str:
        """Digest of the image's manifest, with `sha256:`; empty when there is no such image."""
        return next((entry["digest"] for entry in self._entries() if _name(entry) == name), "")

    def remove_unused(self) -> None:
        """Delete the blobs that no image of the index needs any more."""
        used = {path for entry in self._entries() for path in self._blobs(entry)}
        for path in (self.folder / "blobs" / "sha256").iterdir():
            if path not in used:
                path.unlink()

    def send(self, node: Node, names: set[str]) -> None:
        """Load these images into the node's containerd.

        Raises:
            Failed: containerd refused them; with what it said.
        """
        there = set(_ctr(node, "content", "ls", "-q").split())
        entries = [entry for entry in self._entries() if _name(entry) in names]
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
            try:
                with importer.stdin, tarfile.open(fileobj=importer.stdin, mode="w|") as archive:
                    self._pack(archive, entries, there)
            except BrokenPipeError:
                pass
            said = importer.stdout.read().decode(errors="replace")
        if importer.returncode != 0:
            raise Failed(f"{node.name}: images were not imported: {said.strip()}")

    def _pack(self, archive: tarfile.TarFile, entries: list[Any], there: set[str]) -> None:
        for entry in entries:
            for path in self._blobs(entry):
                if f"sha256:{path.name}" not in there:
                    archive.add(path, f"blobs/sha256/{path.name}")
                    there.add(f"sha256:{path.name}")
        named = [
            {**entry, "annotations": {NAME: _name(entry), NAME_FOR_CONTAINERD: _name(entry)}}
            for entry in entries
        ]
        _add_json(archive, "oci-layout", {"imageLayoutVersion": "1.0.0"})
        _add_json(archive, "index.json", {"schemaVersion": 2, "manifests": named})

    def _entries(self) -> list[dict[str, Any]]:
        """The images; buildah leaves an entry without its name where a newer image has taken it."""
        index = json.loads((self.folder / "index.json").read_text())
        return [entry for entry in index["manifests"] if NAME in entry.get("annotations", {})]

    def _blobs(self, entry: dict[str, Any]) -> Iterator[Path]:
        manifest = self._blob(entry["digest"])
        content = json.loads(manifest.read_text())
        for part in (*content["layers"], content["config"]):
            yield self._blob(part["digest"])
        yield manifest

    def _blob(self, digest: str) -> Path:
        return self.folder / "blobs" / Path(*digest.split(":"))


def images_of(node: Node) -> set[str]:
    """Names and digests of the images that the node's containerd has, as `NAME@DIGEST`."""
    lines = _ctr(node, "images", "ls").splitlines()[1:]
    return {f"{words[0]}@{words[2]}" for words in map(str.split, lines)}


def _ctr(node: Node, *arguments: str) -> str:
    return run("ctr", "-a", node.containerd, "-n", "k8s.io", *arguments)


def _name(entry: dict[str, Any]) -> str:
    return str(entry["annotations"][NAME])


def _add_json(archive: tarfile.TarFile, path: str, content: object) -> None:
    data = json.dumps(content).encode()
    member = tarfile.TarInfo(path)
    member.size = len(data)
    archive.addfile(member, BytesIO(data))
