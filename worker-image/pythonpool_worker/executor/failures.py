"""What a command raised, as the members of the problem that its caller reads."""

import json
import logging
import os
import resource
import sys
import traceback
from types import TracebackType
from typing import Any, NoReturn

from pythonpool.errors import CommandFailed, Outcome, OutOfMemory, PythonPoolError
from pythonpool.messages import END_HEAD, MAX_PAYLOAD

MAX_TEXT_BYTES = 16_384
"""Where message and traceback of an exception are cut, each."""

_MAX_DETAIL = 300
_HERE = os.path.dirname(__file__)
_LOG = logging.getLogger("pythonpool.executor")


def command_failed(name: str, error: BaseException) -> CommandFailed:
    """`name` raised `error`."""
    exception = describe(error)
    first = " ".join(exception["message"].split())[:_MAX_DETAIL]
    detail = f"{name} raised {exception['type']}" + (f": {first}" if first else "")
    return CommandFailed(detail, exception=exception)


def out_of_memory(
    name: str, error: MemoryError, outcome: Outcome, worker_bytes: int | None = None
) -> OutOfMemory:
    """`name` let a MemoryError through; the executor lives on.

    The limit is the executor's own, where it has one; else `worker_bytes`, its worker's.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    limit = worker_bytes if soft == resource.RLIM_INFINITY else soft
    at = "" if limit is None else f"; the limit is {limit} bytes"
    return OutOfMemory(
        f"{name} ran out of memory (MemoryError){at}",
        outcome=outcome,
        exception=describe(error),
        limit_bytes=limit,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )


def describe(error: BaseException) -> dict[str, str]:
    """`{"type", "message", "traceback"}`; the traceback begins at the user's own frames."""
    try:
        message = str(error)
    except BaseException as second:  # noqa: BLE001  # the user's own __str__ may raise anything
        message = f"(its text can not be read: {type(second).__name__})"
    error.__traceback__ = _users(error.__traceback__)
    try:
        trace = "".join(traceback.format_exception(error))
    except BaseException as second:  # noqa: BLE001  # as above; or no memory is left
        trace = f"(the traceback can not be written: {type(second).__name__})"
    return {
        "type": type(error).__name__,
        "message": _cut(message, MAX_TEXT_BYTES, 1.0),
        # The end of a traceback says most; its beginning says how it came there.
        "traceback": _cut(trace, MAX_TEXT_BYTES, 0.25),
    }


def error_payload(error: PythonPoolError, flags: int, run_us: int) -> bytes:
    """The payload of an ERROR frame; texts are cut further when escaping makes them too long."""
    problem = error.to_problem()
    room = MAX_PAYLOAD - END_HEAD.size
    text = _encode(problem)
    limit = MAX_TEXT_BYTES
    while len(text) > room:
        limit //= 2
        problem = {key: _shorter(value, limit) for key, value in problem.items()}
        text = _encode(problem)
    return END_HEAD.pack(flags, run_us) + text


def leave(error: SystemExit) -> NoReturn:
    """End the process as `sys.exit` asks, at once: in a thread it would end only the thread."""
    code = error.code
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)  # as Python itself does
        code = 1
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        _LOG.debug("no output is left to flush")
    os._exit((code or 0) & 0xFF)


def _users(trace: TracebackType | None) -> TracebackType | None:
    start = trace
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_HERE):
        start = start.tb_next
    while start is not None and _is_loop(start.tb_frame.f_code.co_filename):
        start = start.tb_next
    while start is not None and start.tb_frame.f_code.co_filename.startswith(_HERE):
        start = start.tb_next
    return start


def _is_loop(filename: str) -> bool:
    return any(f"{os.sep}{part}{os.sep}" in filename for part in ("asyncio", "concurrent"))


def _shorter(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return _cut(value, limit, 0.5)
    if isinstance(value, dict):
        return {key: _shorter(item, limit) for key, item in value.items()}
    return value


def _cut(text: str, limit: int, head_share: float) -> str:
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return data.decode()
    mark = f"\n... {len(data) - limit} bytes cut ...\n" if limit > 200 else "..."
    head = int((limit - len(mark)) * head_share)
    tail = limit - len(mark) - head
    end = data[-tail:].decode(errors="ignore") if tail else ""
    return data[:head].decode(errors="ignore") + mark + end


def _encode(problem: dict[str, Any]) -> bytes:
    return json.dumps(problem, ensure_ascii=False, separators=(",", ":")).encode()
