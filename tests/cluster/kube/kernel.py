"""Settings of the machine's kernel that kubelet changes for all of it, kept and put back."""

import json
from pathlib import Path

CHANGED = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
SYSTEM = Path("/proc/sys")


def keep_settings(folder: Path) -> None:
    """Write down in `folder` what the settings are now."""
    now = {name: (SYSTEM / name).read_text() for name in CHANGED if (SYSTEM / name).exists()}
    (folder / "settings.json").write_text(json.dumps(now))


def restore_settings(folder: Path) -> None:
    """Put back what `keep_settings` wrote down in `folder`, if it did."""
    kept = folder / "settings.json"
    if not kept.exists():
        return
    for name, value in json.loads(kept.read_text()).items():
        if (SYSTEM / name).read_text() != value:
            (SYSTEM / name).write_text(value)
