"""Frames of routers, each kind to the part that answers it."""

from collections.abc import Callable

import orjson

from pythonpool.clock import Clock
from pythonpool.messages import U32, CancelReason, Kind
from pythonpool_worker.agent.asks import Asks
from pythonpool_worker.agent.endings import Endings
from pythonpool_worker.agent.intake import Intake
from pythonpool_worker.agent.link import Link
from pythonpool_worker.agent.sessions import Sessions
from pythonpool_worker.agent.settings import Settings
from pythonpool_worker.agent.slots import Slots


class Frames:
    """Called by each link with each of its frames; `settings` are those of the moment."""

    def __init__(
        self,
        settings: Settings,
        slots: Slots[Link],
        intake: Intake,
        endings: Endings,
        sessions: Sessions,
        asks: Asks,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.on_ping: Callable[[Link], None] = _ignore
        self.on_config: Callable[[dict[str, object]], None] = _ignore
        self.on_line: Callable[[], None] = _ignore
        self.on_routers: Callable[[Link, list[str]], None] = _ignore
        self._slots = slots
        self._intake = intake
        self._endings = endings
        self._sessions = sessions
        self._clock = clock
        self._by_kind: dict[int, Callable[[Link, int, bytes], None]] = {
            Kind.CALL: intake.call,
            Kind.DATA: intake.data,
            Kind.END: self._end,
            Kind.CREDIT: self._credit,
            Kind.CANCEL: self._cancel,
            Kind.DECLINE: self._decline,
            Kind.LINE: self._line,
            Kind.PING: self._ping,
            Kind.CONFIG: self._config,
            Kind.ROUTERS: self._routers,
            Kind.ASK: asks.ask,
        }

    def frame(self, link: Link, kind: int, number: int, payload: bytes) -> None:
        """One frame; kinds that are not known are passed over, newer routers may send them."""
        handle = self._by_kind.get(kind)
        if handle is not None:
            handle(link, number, payload)

    def link_is_lost(self, link: Link) -> None:
        """Its callers are gone, and it waits for nothing."""
        self._slots.forget(link)
        self._sessions.forget(link)
        for delivery in list(link.deliveries.values()):
            delivery.drop()
        link.deliveries.clear()
        for call in list(link.calls.values()):
            self._endings.abandon(call, finish=self.settings.finish_abandoned)
        self._endings.publish()

    def drop_stalled(self, link: Link) -> None:
        """Answers that the router has not wanted for long are dropped, running streams ended."""
        now = self._clock.monotonic()
        for number, delivery in list(link.deliveries.items()):
            if delivery.is_stalled(now):
                delivery.drop()
                del link.deliveries[number]
                call = link.calls.get(number)
                if call is not None:
                    self._endings.cancel(call)

    def _end(self, link: Link, number: int, _payload: bytes) -> None:
        self._intake.end(link, number)

    def _credit(self, link: Link, number: int, payload: bytes) -> None:
        delivery = link.deliveries.get(number)
        if delivery is not None:
            delivery.credit(U32.unpack(payload)[0], self._clock.monotonic())
            if delivery.is_done and number not in link.calls:
                del link.deliveries[number]

    def _cancel(self, link: Link, number: int, payload: bytes) -> None:
        delivery = link.deliveries.get(number)
        call = link.calls.get(number)
        if delivery is not None:
            delivery.drop()
            if call is None:
                del link.deliveries[number]
        if call is None:
            return
        if payload[0] == CancelReason.CALLER_GONE:
            self._endings.abandon(call, finish=self.settings.finish_abandoned)
        else:
            self._endings.cancel(call)

    def _decline(self, link: Link, _number: int, payload: bytes) -> None:
        if payload[:1] == b"\1":
            self._sessions.decline(link, payload[1:].decode())
        else:
            self._slots.decline(link)
            self._endings.publish()

    def _line(self, link: Link, _number: int, payload: bytes) -> None:
        link.line = U32.unpack(payload)[0]
        self.on_line()

    def _ping(self, link: Link, number: int, _payload: bytes) -> None:
        link.send(Kind.PONG, number)
        self.on_ping(link)

    def _config(self, _link: Link, _number: int, payload: bytes) -> None:
        self.on_config(orjson.loads(payload))

    def _routers(self, link: Link, _number: int, payload: bytes) -> None:
        self.on_routers(link, orjson.loads(payload))


def _ignore(*_: object) -> None:
    """Until somebody wants to know."""
