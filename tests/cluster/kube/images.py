"""The project's images, built by buildah from its Dockerfiles without a registry.

Their base is made from Debian's packages and carries the very name that the Dockerfiles have in
FROM. All is kept in the cache folder: what did not change is not built again.
"""

import hashlib
import os
import re
import shutil
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cluster.kube.down import unmount_below
from cluster.kube.layout import Layout, images_of
from cluster.kube.places import CHECKOUT, NODES, Node, cache_folder
from cluster.kube.processes import MARK, family, kill, marked
from cluster.kube.programs import program
from cluster.kube.steps import Failed, run, say, step

PAUSE = "docker.io/pythonpool/pause:1"
MOST_STEPS = 300
DEBIAN = "bookworm"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = "/etc/ssl/certs"


@dataclass(frozen=True, slots=True)
class Image:
    """One image of the project: its short name, and the stage of the Dockerfile that makes it.

    Args:
        context: folder that the build sees; its .dockerignore says which files count.
        worker: the image that it builds on, where that is one of the project's own.
    """

    name: str
    dockerfile: str
    target: str | None = None
    context: str = "."
    worker: "Image | None" = None

    @property
    def reference(self) -> str:
        """Full name with the project's version as tag; the registry is the user's where named."""
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
        registry = os.environ.get("PYTHONPOOL_REGISTRY", "docker.io/pythonpool")
        return f"{registry}/{self.name}:{project['version']}"


WORKERS = "worker-image/Dockerfile"
GENERAL = Image("worker-general", WORKERS, "general")
IMAGES = (
    Image("operator", "operator/Dockerfile"),
    Image("router", "router/Dockerfile"),
    GENERAL,
    Image("shop", "examples/Dockerfile", context="examples", worker=GENERAL),
    Image("worker-optimizer", WORKERS, "optimizer"),
    Image("worker-neural", WORKERS, "neural"),
)


def provide_images() -> None:
    """Build what changed since the last time, and put it into the layout."""
    changed = [image for image in IMAGES if _is_changed(image)]
    if not changed:
        say("images: nothing changed")
        return
    _clean_up()
    _provide_base()
    for image in changed:
        with step(f"image {image.name}", announce=True):
            _build(image)
    layout().remove_unused()
    _remove_old_steps()


def import_images() -> None:
    """Load into both nodes what they do not have of the project's images."""
    wanted = {image.reference for image in IMAGES}
    with ThreadPoolExecutor() as both:
        list(both.map(lambda node: _send(node, wanted), NODES))


def import_pause(node: Node) -> None:
    """Load the image of the sandboxes into the node, made first where there is none."""
    if not _stamp("pause").exists():
        with step("image pause"):
            _build_pause()
    _send(node, {PAUSE})


def layout() -> Layout:
    """The folder of finished images."""
    return Layout(_folder() / "finished")


def _send(node: Node, wanted: set[str]) -> None:
    there = images_of(node)
    missing = {name for name in wanted if f"{name}@{layout().digest(name)}" not in there}
    if missing:
        names = " ".join(name.rpartition("/")[2].partition(":")[0] for name in sorted(missing))
        with step(f"loaded into {node.name}: {names}"):
            layout().send(node, missing)


def _build(image: Image) -> None:
    target = ("--target", image.target) if image.target else ()
    version = image.reference.rpartition(":")[2]
    inputs = _inputs(image)
    _buildah(
        "bud",
        *("--isolation", "chroot", "--network", "host", "--pull=never", "--layers"),
        # The package registry may be behind a proxy whose authority this machine alone knows.
        *("--volume", f"{CERTIFICATES}:{CERTIFICATES}:ro"),
        *("--build-arg", f"SSL_CERT_FILE={CERTIFICATES}/ca-certificates.crt"),
        *("--build-arg", f"PIP_CERT={CERTIFICATES}/ca-certificates.crt"),
        *("--build-arg", f"VERSION={version}"),
        *("--build-arg", f"WORKER={GENERAL.reference}"),
        *("--file", str(CHECKOUT / image.dockerfile)),
        *target,
        *("--tag", image.reference),
        str(CHECKOUT / image.context),
    )
    _finish(image.name, image.reference, inputs)


def _finish(name: str, reference: str, inputs: str) -> None:
    pushed = _folder() / "pushed"
    shutil.rmtree(pushed, ignore_errors=True)
    # Uncompressed: packing and unpacking on one machine would cost minutes and save nothing.
    _buildah("push", "-q", "--disable-compression=true", "-f", "oci", reference, f"dir:{pushed}")
    layout().add(reference, pushed)
    shutil.rmtree(pushed)
    _stamp(name).write_text(inputs)


def _provide_base() -> None:
    reference = _base_name()
    if reference in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        return
    with step(f"base image {reference} from Debian's packages", announce=True):
        folder = _folder() / "base"
        shutil.rmtree(folder, ignore_errors=True)
        root = folder / "root"
        run("debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", DEBIAN, root)
        for part in ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc"):
            shutil.rmtree(root / part)
            (root / part).mkdir()
        run(
            "tar",
            "--numeric-owner",
            "--one-file-system",
            "-cf",
            folder / "root.tar",
            "-C",
            root,
            ".",
        )
        (folder / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n")
        _buildah("bud", "--isolation", "chroot", "--tag", reference, str(folder))
        shutil.rmtree(folder)


def _base_name() -> str:
    """What the Dockerfiles build on; all of them on the same."""
    names = set()
    for image in IMAGES:
        text = (CHECKOUT / image.dockerfile).read_text()
        names.update(re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE))
    if len(names) != 1:
        raise Failed(f"the Dockerfiles must share one line ARG BASE=NAME:TAG; found {names}")
    return str(names.pop())


def _build_pause() -> None:
    folder = _folder() / "pause"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(program("pause"), folder)
    (folder / "Dockerfile").write_text(
        'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
    )
    _buildah("bud", "--isolation", "chroot", "--tag", PAUSE, str(folder))
    _finish("pause", PAUSE, "")


def _is_changed(image: Image) -> bool:
    stamp = _stamp(image.name)
    return not stamp.exists() or stamp.read_text() != _inputs(image)


def _inputs(image: Image) -> str:
    """A digest of all that goes into the image: its Dockerfile and what .dockerignore lets in."""
    context = CHECKOUT / image.context
    digest = hashlib.sha256((_inputs(image.worker) if image.worker else "").encode())
    rules = (context / ".dockerignore").read_text().split()
    let_in = [context / rule[1:] for rule in rules if rule.startswith("!")]
    files = [path for one in let_in for path in (sorted(one.rglob("*")) if one.is_dir() else [one])]
    for path in (CHECKOUT / image.dockerfile, *files):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _clean_up() -> None:
    """End what a build that was killed has left: processes, mounts, working containers."""
    kill(family(marked(_folder())))
    unmount_below(_folder())
    _buildah("rm", "--all")


def _remove_old_steps() -> None:
    """Keep the steps of some twenty builds, for the next to go on from; some 15 MB each."""
    if _buildah("images", "--all", "--format", "{{.Name}}").count("<none>") > MOST_STEPS:
        with step("removed the steps of old builds"):
            _buildah("rmi", "--prune")


def _buildah(*arguments: str) -> str:
    storage = ("--storage-driver", "overlay", "--root", str(_folder() / "storage"))
    state = ("--runroot", str(_folder() / "state"))
    return run("buildah", *storage, *state, *arguments, **{MARK: f"{_folder()}:buildah"})


def _stamp(name: str) -> Path:
    folder = _folder() / "stamps"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _folder() -> Path:
    return cache_folder() / "images"
