"""Calls a command and makes its result, or what it raised, an outcome."""

import logging
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from pythonpool.adapter import Adapter, Context
from pythonpool.errors import PythonPoolError, ResultTooLarge
from pythonpool.messages import Kind
from pythonpool.sdk.commands import Command
from pythonpool_worker.executor.channel import Channel
from pythonpool_worker.executor.failures import command_failed, leave, out_of_memory
from pythonpool_worker.executor.results import encode, is_octets
from pythonpool_worker.executor.runner import Runner

_LOG = logging.getLogger("pythonpool.executor")
_NULL = b"null"


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's result: the body, and whether it is bytes instead of JSON."""

    body: bytes
    octets: bool = False


class _TooLargeError(Exception):
    """A result, or one value of a stream, over the limit; the argument is its bytes."""


class Invoker:
    """Calls commands of one adapter."""

    def __init__(
        self, adapter: Adapter, channel: Channel, runner: Runner, memory_bytes: int | None
    ) -> None:
        self._adapter = adapter
        self._channel = channel
        self._runner = runner
        self._memory_bytes = memory_bytes

    def outcome(
        self, command: Command, number: int, context: Context, args: dict[str, Any], streams: bool
    ) -> Answer | PythonPoolError:
        """Call the command; whatever it raises becomes an error for its caller.

        Values of a generator are sent as they come when the call `streams`.
        """
        try:
            if command.takes_context:
                value = command.function(self._adapter, context, **args)
            else:
                value = command.function(self._adapter, **args)
            if isinstance(value, CoroutineType):
                value = self._runner.run(number, value)
            if isinstance(value, GeneratorType | AsyncGeneratorType):
                value = self._iterate(command.name, value, number, streams)
            return self._answer(command.name, value)
        except SystemExit as error:
            leave(error)
        except _TooLargeError as error:
            return self._too_large(command.name, error)
        except MemoryError as error:
            return out_of_memory(command.name, error, "finished", self._memory_bytes)
        except BaseException as error:  # noqa: BLE001  # KeyboardInterrupt too: API.md 2.1
            return command_failed(command.name, error)

    def _iterate(
        self,
        name: str,
        values: Generator[Any, None, None] | AsyncGenerator[Any, None],
        number: int,
        streams: bool,
    ) -> Any:
        """All values as a list; or None, when each has been sent."""
        collected: list[Any] = []

        def take(value: Any) -> None:
            if streams:
                self._send_chunk(name, number, value)
            else:
                collected.append(value)

        if isinstance(values, AsyncGenerator):
            self._runner.run(number, _take_all(values, take))
        else:
            for value in values:
                take(value)
        return None if streams else collected

    def _send_chunk(self, name: str, number: int, value: Any) -> None:
        self._channel.send_body(Kind.CHUNK, number, b"\0", self._json(name, value))

    def _answer(self, name: str, value: Any) -> Answer:
        if value is None:
            return Answer(_NULL)
        if is_octets(value):
            body = bytes(value)
            if len(body) > self._channel.limits.result_bytes:
                raise _TooLargeError(len(body))
            return Answer(body, octets=True)
        return Answer(self._json(name, value))

    def _json(self, name: str, value: Any) -> bytes:
        text, has_nan = encode(value)
        if has_nan:
            _LOG.warning("a NaN or an infinity in the result of %s was written as null", name)
        if len(text) > self._channel.limits.result_bytes:
            raise _TooLargeError(len(text))
        return text

    def _too_large(self, name: str, error: _TooLargeError) -> ResultTooLarge:
        return ResultTooLarge(
            f"the result of {name} is {error.args[0]} bytes; "
            f"results.maxBytes allows {self._channel.limits.result_bytes}"
        )


async def _take_all(values: AsyncGenerator[Any, None], take: Callable[[Any], None]) -> None:
    async for value in values:
        take(value)
