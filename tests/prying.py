"""An adapter that looks around where it runs: what can a command reach that is not its own?"""

import os
import socket
from pathlib import Path

from pythonpool.adapter import Adapter, command


class Prying(Adapter):
    """Commands of somebody who should not have been given a pool."""

    @command
    def files(self, name: str) -> list[str]:
        """Every readable file of this name, in each root that a process here has."""
        roots = {"/", *(f"/proc/{pid}/root" for pid in os.listdir("/proc") if pid.isdigit())}
        found = []
        for root in roots:
            for place in ("var/run/secrets", "run/secrets", "var/run/pythonpool"):
                # What may not be entered is passed over.
                for folder, _, names in os.walk(Path(root, place)):
                    path = Path(folder, name)
                    if name in names and os.access(path, os.R_OK):
                        found.append(str(path))
        return sorted(found)

    @command
    def processes(self) -> list[str]:
        """The command lines of all processes that can be seen."""
        seen = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            seen.append(b" ".join(words).decode(errors="replace"))
        return seen

    @command
    def signal_first(self, number: int) -> None:
        """Send process 1 of this container, the keeper, a signal."""
        os.kill(1, number)

    @command
    def pose_as_keeper(self) -> str:
        """What the agent answers to somebody who says that he is the keeper; empty: he hangs up."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as agent:
            agent.settimeout(5)
            agent.connect("/var/run/pythonpool/keeper.sock")
            return agent.recv(65_536).decode()
