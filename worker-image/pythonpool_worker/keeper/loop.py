"""The keeper's one loop: descriptors, timers and signals, in one thread. Knows nothing else."""

import heapq
import os
import select
import signal
import time
from collections.abc import Callable

Callback = Callable[[], None]


class Timer:
    """One call in the future; `cancel` makes it never come."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callback) -> None:
        self.when = when
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never call; twice is no error."""
        self.callback = None


class Loop:
    """Waits for descriptors, timers and signals, and calls who asked for them."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._running = True
        self._signals: dict[int, Callback] = {}

    def read(self, fd: int, callback: Callback) -> None:
        """Call whenever `fd` can be read, or its other end is closed."""
        self._readers[fd] = callback
        self._register(fd)

    def write(self, fd: int, callback: Callback) -> None:
        """Call whenever `fd` takes bytes."""
        self._writers[fd] = callback
        self._register(fd)

    def forget_reader(self, fd: int) -> None:
        """No more calls for reading; before the descriptor is closed."""
        if self._readers.pop(fd, None):
            self._register(fd)

    def forget_writer(self, fd: int) -> None:
        """No more calls for writing; before the descriptor is closed."""
        if self._writers.pop(fd, None):
            self._register(fd)

    def after(self, seconds: float, callback: Callback) -> Timer:
        """Call once, `seconds` from now or up to 1 ms later."""
        timer = Timer(time.monotonic() + seconds, callback)
        self._count += 1
        heapq.heappush(self._timers, (timer.when, self._count, timer))
        return timer

    def on_signals(self, callbacks: dict[signal.Signals, Callback]) -> None:
        """Take these signals, from now on; once in the life of a loop.

        Installed even where nothing is to be done: process 1 of a container would otherwise
        never see them.
        """
        self._signals = {int(number): callback for number, callback in callbacks.items()}
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in callbacks:
            signal.signal(number, lambda *_: None)
        self.read(reader, lambda: self._take_signals(reader))

    def stop(self) -> None:
        """`run` returns after the callback that runs now."""
        self._running = False

    def run(self) -> None:
        """Until `stop`."""
        while self._running:
            for fd, events in self._poll.poll(self._patience_ms()):
                if events & ~select.POLLOUT and fd in self._readers:
                    self._readers[fd]()
                if events & ~select.POLLIN and fd in self._writers:
                    self._writers[fd]()
            self._run_timers()

    def _register(self, fd: int) -> None:
        events = (select.POLLIN if fd in self._readers else 0) | (
            select.POLLOUT if fd in self._writers else 0
        )
        if events:
            self._poll.register(fd, events)
        else:
            self._poll.unregister(fd)

    def _patience_ms(self) -> int | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0, -int(-(self._timers[0][0] - time.monotonic()) * 1000 // 1))

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback:
                callback()

    def _take_signals(self, reader: int) -> None:
        # A full pipe loses numbers, so SIGCHLD is looked at whenever any signal came.
        numbers = {*os.read(reader, 4096), int(signal.SIGCHLD)}
        for number in sorted(numbers):
            if number in self._signals:
                self._signals[number]()
