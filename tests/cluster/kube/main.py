"""`make cluster`: a real Kubernetes of two nodes on this machine.

usage: python -m cluster.kube.main up | images | down
"""

import fcntl
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.kube.access import write_private
from cluster.kube.cgroups import check_cgroups
from cluster.kube.cluster import is_running, make_cluster
from cluster.kube.down import take_down
from cluster.kube.images import import_images, provide_images
from cluster.kube.places import CHECKOUT, KUBECONFIG, SHELL, run_folder
from cluster.kube.programs import BUILDS, DEBIAN, program, provide
from cluster.kube.steps import CanNot, Failed, say, step

VERBS = ("up", "images", "down")


def main() -> int:
    """Run one verb; return its exit code: 0 done, 1 failed, 2 usage, 3 this machine can not."""
    if len(sys.argv) != 2 or sys.argv[1] not in VERBS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return _run(sys.argv[1])
    except CanNot as reason:
        print(f"no cluster here: {reason}", file=sys.stderr)
        return 3
    except Failed as failure:
        print(f"cluster: {failure}", file=sys.stderr)
        return 1


def _run(verb: str) -> int:
    other = os.environ.get("KUBECONFIG")
    if verb != "down" and other and Path(other).resolve() != KUBECONFIG:
        made = "nothing is made here; its images are the user's, from PYTHONPOOL_REGISTRY"
        say(f"KUBECONFIG={other} is honoured: {made}")
        return 0
    _check_machine()
    with _alone():
        if verb == "down":
            with step("taken down"):
                take_down()
            return 0
        with step(f"{verb}, in all"):
            if verb == "up":
                _up()
            _images()
    _say_where()
    return 0


def _up() -> None:
    if is_running():
        say("is already running, and is left as it is (`make cluster-down` takes it away)")
    else:
        if take_down():
            say("cleaned up what an earlier run had left")
        provide(*DEBIAN, *BUILDS)
        make_cluster()
    KUBECONFIG.parent.mkdir(exist_ok=True)
    write_private(KUBECONFIG, (run_folder() / "access" / "admin.kubeconfig").read_text())
    programs = (program("kubectl").parent, program("helm").parent, CHECKOUT / ".venv" / "bin")
    path = ":".join(str(folder) for folder in programs)
    SHELL.write_text(f'export KUBECONFIG={KUBECONFIG}\nexport PATH="{path}:$PATH"\n')


def _images() -> None:
    provide(*DEBIAN)
    provide_images()
    if is_running():
        import_images()


def _say_where() -> None:
    if KUBECONFIG.exists():
        say(f"kubectl, helm and pythonpool are yours after: . {SHELL.relative_to(CHECKOUT)}")


def _check_machine() -> None:
    if platform.system() != "Linux":
        raise CanNot(f"it needs Linux, and this is {platform.system()}; set KUBECONFIG instead")
    if os.geteuid() != 0:
        raise CanNot("it needs root, for namespaces and cgroups; set KUBECONFIG instead")
    if shutil.which("apt-get") is None:
        raise CanNot("it needs Debian's packages (apt-get); set KUBECONFIG instead")
    check_cgroups()


@contextmanager
def _alone() -> Iterator[None]:
    """One at a time on this machine, whatever checkout it is from."""
    with Path("/run/lock/pythonpool-cluster").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another run of this is at work on this machine; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
