"""One kill: where the process is stuck, then SIGKILL to it and to all that it spawned."""

import os
from collections.abc import Callable
from pathlib import Path

from pythonpool_worker import linux
from pythonpool_worker.keeper.loop import Loop, Timer

SIGKILL, SIGCONT = 9, 18
DUMP_SECONDS = 0.05
UNKILLABLE_SECONDS = 0.1
MAX_STACK_BYTES = 32 * 1024
# faulthandler writes piece by piece; a pause this long may be the end of a dump without a last line
# that is known. Shorter ones come of a busy machine, and would cut the dump in its middle.
_QUIET_SECONDS = 0.02
_LOOK_AGAIN_SECONDS = 0.005
# What the last line of a whole dump looks like: the main thread comes last, and each of our
# processes is started by `python -m`. `...` stands for frames beyond the first hundred.
_LAST_LINES = (b" in _run_module_as_main\n", b"  ...\n")

_OUR_FRAMES = (
    f'File "{Path(linux.__file__).parent}/executor/',
    f'File "{Path(linux.__file__).parent}/template/',
    'File "<frozen runpy>"',
)

OnSent = Callable[[str | None, bool], None]


class Kill:
    """Kills one process of ours; `on_sent(stack, unkillable)` is called once.

    Args:
        pid: a child that is not reaped, so that the number can not be another's.
        stack: descriptor that its `faulthandler` writes to, or None: kill without asking.
        on_sent: SIGKILL was sent; `unkillable` when it sat in uninterruptible sleep for 100 ms.
    """

    def __init__(self, loop: Loop, pid: int, stack: int | None, on_sent: OnSent) -> None:
        self._loop = loop
        self._pid = pid
        self._fd = stack
        self._on_sent: OnSent | None = on_sent
        self._text = b""
        self._timer: Timer | None = None
        self._quiet: Timer | None = None
        self._was_sent = False
        self._looks_left = round(UNKILLABLE_SECONDS / _LOOK_AGAIN_SECONDS)

    def begin(self) -> None:
        """Ask for the stack, or kill at once."""
        if self._fd is None:
            self._send()
            return
        self._drain()
        self._text = b""  # whatever user code wrote there by itself
        self._loop.read(self._fd, self._on_stack)
        self._timer = self._loop.after(DUMP_SECONDS, self._send)
        linux.send_signal(self._pid, linux.STACK_SIGNAL)
        if linux.process_state(self._pid) == "T":
            # It runs its pending signals before anything else.
            linux.send_signal(self._pid, SIGCONT)

    def finish(self) -> None:
        """The process is dead and reaped: say so if that was not done."""
        self._stop_listening()
        self._tell(unkillable=False)

    def _on_stack(self) -> None:
        self._drain()
        if self._text.endswith(_LAST_LINES) and b"Current thread" in self._text:
            self._send()
        elif b"Current thread" in self._text:
            if self._quiet:
                self._quiet.cancel()
            self._quiet = self._loop.after(_QUIET_SECONDS, self._send)

    def _drain(self) -> None:
        try:
            while self._fd is not None and len(self._text) < MAX_STACK_BYTES:
                data = os.read(self._fd, 65_536)
                if not data:
                    self._loop.forget_reader(self._fd)
                    return
                self._text += data
        except BlockingIOError:
            return

    def _send(self) -> None:
        self._stop_listening()
        if self._was_sent:
            return
        self._was_sent = True
        sleeps = linux.process_state(self._pid) == "D"
        kill_tree(self._pid)
        if sleeps:
            self._look_again()
        else:
            self._tell(unkillable=False)

    def _look_again(self) -> None:
        self._looks_left -= 1
        if linux.process_state(self._pid) != "D":
            self._tell(unkillable=False)
        elif self._looks_left <= 0:
            self._tell(unkillable=True)
        else:
            self._timer = self._loop.after(_LOOK_AGAIN_SECONDS, self._look_again)

    def _stop_listening(self) -> None:
        for timer in (self._timer, self._quiet):
            if timer:
                timer.cancel()
        if self._fd is not None:
            self._loop.forget_reader(self._fd)
            self._fd = None

    def _tell(self, unkillable: bool) -> None:
        on_sent, self._on_sent = self._on_sent, None
        if on_sent:
            on_sent(shown_stack(self._text) or None, unkillable)


def shown_stack(dump: bytes) -> str:
    """What faulthandler wrote, without the frames that are ours; all when none is the user's.

    A last line that was cut is left out.
    """
    whole = dump[:MAX_STACK_BYTES].rpartition(b"\n")[0]
    lines = whole.decode("ascii", errors="replace").splitlines()
    shown = [line for line in lines if not line.lstrip().startswith(_OUR_FRAMES)]
    return "\n".join(shown if any(line.startswith("  ") for line in shown) else lines)


def kill_tree(pid: int) -> None:
    """SIGKILL to a child, its group and all below it; what slips away is the sweep's.

    The child first: once it has the signal, it starts nothing more.
    """
    linux.signal_group(pid, SIGKILL)
    linux.send_signal(pid, SIGKILL)
    linux.hurry(pid)
    for descendant in linux.descendants(pid):
        linux.send_signal(descendant, SIGKILL)
        linux.hurry(descendant)
