"""The keeper's start, in an order that matters: signals, secrets, the agent, then work."""

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from pythonpool.descriptors import allow_many
from pythonpool_worker import linux
from pythonpool_worker.keeper.config import Config, read_arguments, read_config
from pythonpool_worker.keeper.log import Log
from pythonpool_worker.keeper.loop import Loop
from pythonpool_worker.keeper.template import Template

if TYPE_CHECKING:
    from pythonpool_worker.keeper.keeper import Keeper

_DIAL_SECONDS = 0.02


def main(arguments: list[str]) -> int:
    """`--config FILE [--worker NAME]`: one worker, until its agent is gone. 2: a wrong file."""
    path, worker = read_arguments(arguments)
    loop = Loop()
    start = Start(loop)
    loop.on_signals(
        {
            signal.SIGTERM: start.on_term,
            signal.SIGINT: start.on_interrupt,
            signal.SIGHUP: start.on_interrupt,
            signal.SIGCHLD: start.on_child,
        }
    )
    try:
        config = read_config(path, worker)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    allow_many()
    linux.become_subreaper()
    linux.hide_from_debuggers()
    start.dial(config)
    loop.run()
    return 0


class Start:
    """Dials the agent until it listens, and then hands over to the keeper."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._keeper: Keeper | None = None

    def dial(self, config: Config) -> None:
        """Connect, now or every 20 ms; before any user code is imported."""
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            control.connect(config.control_socket)
        except OSError:
            control.close()
            self._loop.after(_DIAL_SECONDS, lambda: self.dial(config))
            return
        control.send(b'{"t":"hello","pid":%d}' % os.getpid())
        log = Log(self._loop, config.pool, config.worker)
        template = Template(self._loop, log, config)
        template.start()
        # Imported only now: the template has more to import, and does it meanwhile.
        from pythonpool_worker.keeper.keeper import Keeper

        self._keeper = Keeper(self._loop, log, config, control, template)
        self._keeper.begin()

    def on_child(self) -> None:
        """SIGCHLD."""
        if self._keeper:
            self._keeper.reap()

    def on_term(self) -> None:
        """SIGTERM: the agent finishes its calls and then ends us; without it there is no work."""
        if not self._keeper:
            self._loop.stop()

    def on_interrupt(self) -> None:
        """Ctrl-C of the terminal is the supervisor's and the agent's to handle."""
