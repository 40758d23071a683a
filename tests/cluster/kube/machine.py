"""What a cluster changes on the machine outside of its own folders, kept and put back."""

import json
import shutil
from pathlib import Path

SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
"""What kubelet sets for the whole machine, below /proc/sys."""

FOLDERS = (
    "/run/containerd",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
)
"""What kubelet, containerd and CNI make at fixed places, if it is not there."""

SYSTEM = Path("/proc/sys")


def keep_machine(folder: Path) -> None:
    """Write down in `folder` what the settings are now and which folders are missing."""
    settings = {name: (SYSTEM / name).read_text() for name in SETTINGS if (SYSTEM / name).exists()}
    missing = [name for name in FOLDERS if not Path(name).exists()]
    (folder / "machine.json").write_text(json.dumps({"settings": settings, "missing": missing}))


def restore_machine(folder: Path) -> None:
    """Put back what `keep_machine` wrote down in `folder`, if it did."""
    kept = folder / "machine.json"
    if not kept.exists():
        return
    before = json.loads(kept.read_text())
    for name, value in before["settings"].items():
        if (SYSTEM / name).read_text() != value:
            (SYSTEM / name).write_text(value)
    for name in before["missing"]:
        if Path(name).exists():
            shutil.rmtree(name)
