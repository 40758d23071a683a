"""One executor as the keeper knows it."""

from pythonpool.messages import FrameReader, Kind
from pythonpool_worker.keeper.ends import Ends
from pythonpool_worker.keeper.killing import Kill
from pythonpool_worker.keeper.loop import Timer
from pythonpool_worker.keeper.pipes import OutputPipe


class Executor:
    """One executor, from the agent's `start` until it is reaped.

    Attributes:
        id: the agent's name for it.
        template: number of the template's life when it was made.
        pid: 0 until the process exists.
        shared_bytes: what it held when it was forked, which is the template's.
        is_ready: whether the agent holds its channel.
        failure: why it could not start, once that is known.
        over_limit: the figures, when it was killed over a memory limit.
        kill: the kill that is under way or done.
        wants_dump: set when it was to be killed before it existed.
        startup: runs until it is ready.
    """

    def __init__(self, executor_id: int, template: int, ends: Ends, output: OutputPipe) -> None:
        self.id = executor_id
        self.template = template
        self.ends = ends
        self.output = output
        self.pid = 0
        self.shared_bytes = 0
        self.is_ready = False
        self.failure: str | None = None
        self.over_limit: dict[str, int] | None = None
        self.kill: Kill | None = None
        self.wants_dump: bool | None = None
        self.startup: Timer | None = None
        self._frames = FrameReader()

    def hear(self, data: bytes) -> tuple[bool, bytes | None]:
        """What it says on the channel before it is ready: (READY came, payload of FAILED)."""
        ready, failed = False, None
        for kind, _, payload in self._frames.feed(data):
            if kind == Kind.READY:
                ready = True
            elif kind == Kind.FAILED:
                failed = payload
        return ready, failed
