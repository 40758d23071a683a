"""Programs of the distribution that tests need: installed where that may be done."""

import os
import shutil
import subprocess


def install(package: str) -> None:
    """Install it as root, where there is apt-get; whether it is there then is for the caller."""
    if os.geteuid() or shutil.which("apt-get") is None:
        return
    command = f"apt-get install -y -qq --no-install-recommends {package}"
    either = f"{command} || {{ apt-get update -qq && {command}; }}"
    subprocess.run(["sh", "-c", either], capture_output=True, check=False)
