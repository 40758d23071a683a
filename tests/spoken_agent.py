"""A small agent of the tests: a real keeper process on the other end of a real control socket.

`keeping(folder, …)` starts the keeper; `Agent` speaks control and channels as the true agent does.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pythonpool.messages import RESULT_HEAD, FrameReader, Kind, Run, frame, run_head

HERE = Path(__file__).parent
PATIENCE_SECONDS = 20.0
NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

Message = dict[str, Any]


def gone(pid: int) -> bool:
    """Whether there is no such process, or only its zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return True
    return stat.rpartition(b") ")[2][:1] in (b"Z", b"X")


def until(fact: Callable[[], Any], seconds: float = 5.0) -> Any:
    """Wait for something outside of our reach: ask every 2 ms, at most `seconds` long."""
    give_up = time.monotonic() + seconds
    while not (value := fact()):
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.002)
    return value


@dataclass
class Channel:
    """The agent's end of an executor's channel."""

    pid: int
    sock: socket.socket
    _frames: FrameReader = field(default_factory=FrameReader)
    _number: int = 0

    def run(self, command: str, args: Message | None = None, timeout: float = 60.0) -> None:
        """Send one call; its args are JSON."""
        self._number += 1
        call_id = f"call-{self._number}".encode()
        body = json.dumps(args or {}).encode()
        head = run_head(Run(0, timeout, command.encode(), call_id, b"", b"", b""))
        self.sock.sendall(frame(Kind.RUN, self._number, head + body))

    def result(self) -> Any:
        """The value of the call's RESULT."""
        while True:
            data = self.sock.recv(65_536)
            assert data, "the executor has closed its channel"
            for kind, number, payload in list(self._frames.feed(data)):
                assert (kind, number) == (Kind.RESULT, self._number), payload
                return json.loads(payload[RESULT_HEAD.size :])

    def call(self, command: str, **args: Any) -> Any:
        """Run one call and wait for its value."""
        self.run(command, args)
        return self.result()


class Agent:
    """Control's other end.

    Attributes:
        keeper: the keeper's process; its log is `log_path`.
        heard: every message so far, in order; each with `"at"`, seconds of the monotonic clock.
    """

    def __init__(
        self, sock: socket.socket, keeper: "subprocess.Popen[bytes]", log_path: Path
    ) -> None:
        self.sock = sock
        self.keeper = keeper
        self.log_path = log_path
        self.heard: list[Message] = []
        self._untold: list[Message] = []
        self._channels: list[Channel] = []

    def say(self, **message: Any) -> float:
        """Send one message; returns when that was."""
        now = time.monotonic()
        self.sock.send(json.dumps(message).encode())
        return now

    def hear(self, kind: str, seconds: float = PATIENCE_SECONDS, **members: Any) -> Message:
        """The first message of that kind with these members that was not returned yet."""
        wanted = {"t": kind} | members
        give_up = time.monotonic() + seconds
        while True:
            for message in self._untold:
                if wanted.items() <= message.items():
                    self._untold.remove(message)
                    return message
            self.sock.settimeout(max(give_up - time.monotonic(), 0.001))
            try:
                data, descriptors, _, _ = socket.recv_fds(self.sock, 65_536, 1)
            except TimeoutError:
                raise AssertionError(f"no {wanted} but {self._state()}") from None
            assert data, f"the keeper has gone: {self._state()}"
            self.heard.append(json.loads(data) | {"at": time.monotonic(), "fds": descriptors})
            self._untold.append(self.heard[-1])

    def _state(self) -> str:
        heard = [{key: m[key] for key in m.keys() - {"catalogue"}} for m in self.heard]
        return "\n".join(map(str, [*heard, *self.log()]))

    def ready(self) -> Message:
        """Wait until the template is ready."""
        return self.hear("template", state="ready")

    def start(self, executor_id: int) -> Channel:
        """Start an executor and wait for its channel."""
        self.say(t="start", id=executor_id)
        message = self.hear("executor", id=executor_id)
        sock = socket.socket(fileno=message["fds"].pop())
        sock.settimeout(PATIENCE_SECONDS)
        self._channels.append(Channel(message["pid"], sock))
        return self._channels[-1]

    def close(self) -> None:
        """Leave: the keeper has to end."""
        self.sock.close()
        for channel in self._channels:
            channel.sock.close()
        for message in self.heard:
            for descriptor in message["fds"]:
                os.close(descriptor)

    def log(self) -> list[Message]:
        """The lines of the keeper's log."""
        return [json.loads(line) for line in self.log_path.read_bytes().splitlines()]

    def printed(self, executor_id: int | None = None) -> list[str]:
        """What an executor (None: the template) has printed."""
        return [
            line["line"]
            for line in self.log()
            if line["event"] == "output" and line["executor"] == executor_id
        ]


@contextmanager
def keeping(
    folder: Path,
    adapter: str = "zoo:Zoo",
    environment: Message | None = None,
    log: int | None = None,
    container: bool = False,
    **spec: Any,
) -> Iterator[Agent]:
    """A keeper on the adapter, for the time of a with-block; ended and checked at its end.

    With `container` it is process 1 of a PID namespace, which needs root; `agent.keeper` is then
    the program that made the namespace.
    """
    config = folder / "worker.json"
    said = {"pool": "zoo", "worker": "zoo-1", "generation": 1, "one_machine": not container}
    said |= {"import_path": [str(HERE), str(folder)], "spec": {"adapter": adapter} | spec}
    config.write_text(json.dumps(said))
    log_path = folder / "keeper.log"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
        log_path.open("wb") as file,
    ):
        listener.bind(str(folder / "keeper.sock"))
        listener.listen(1)
        listener.settimeout(PATIENCE_SECONDS)
        command = [sys.executable, "-m", "pythonpool_worker.keeper", "--config", str(config)]
        command = [*(NAMESPACE if container else []), *command]
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ
        }
        keeper = subprocess.Popen(
            command, stdout=log or file, env=kept | (environment or {}), start_new_session=True
        )
        try:
            sock, _ = listener.accept()
            agent = Agent(sock, keeper, log_path)
            try:
                agent.hear("hello")
                yield agent
            finally:
                agent.close()
            keeper.wait(PATIENCE_SECONDS)
        finally:
            keeper.kill()
            keeper.wait()
            if keeper.stdout:
                keeper.stdout.close()


def processes_of(session: int) -> list[int]:
    """The processes that live in a keeper's session, that is all but those who left it."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.getsid(int(name)) == session and not gone(int(name)):
                found.append(int(name))
        except ProcessLookupError:
            continue
    return found


def kill_hard(pid: int) -> None:
    """`kill -9`."""
    os.kill(pid, signal.SIGKILL)
