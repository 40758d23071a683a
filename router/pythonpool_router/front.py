"""One caller's connection: HTTP/1.1 bytes in, answers in order out, and every deadline between.

A message goes one way: bytes → intake → Request → checks → a call (dispatch) or a cold request
(bridge) → answer. One request is served at a time.
"""

import asyncio

from pythonpool.errors import PayloadTooLarge, PythonPoolError, RequestTimeout
from pythonpool_router import responses
from pythonpool_router.access import Caller
from pythonpool_router.answers import Answer
from pythonpool_router.bridge import Bridge
from pythonpool_router.callersocket import CHECK_SECONDS, NEVER, CallerSocket
from pythonpool_router.dispatch import Dispatcher
from pythonpool_router.execute import call_of, give_body
from pythonpool_router.intake import Intake
from pythonpool_router.repeat import Repeat, repeat_of
from pythonpool_router.requests import Request
from pythonpool_router.site import Site
from pythonpool_router.target import Target, known_target
from pythonpool_router.uploads import HELD_BYTES

HEAD_SECONDS = BODY_SECONDS = 35.0
IDLE_SECONDS = 75.0
SLOT_WAITS_SECONDS = 2.0

_CLOSE = (b"Connection", b"close")
_AHEAD_BYTES = 65_536


class Connection(CallerSocket):
    """One connection of a caller.

    Attributes:
        began_at: when its idle time, or the body that it waits for, began.
    """

    def __init__(self, site: Site, connections: "set[Connection]") -> None:
        super().__init__()
        self.site = site
        self._connections = connections
        self._intake = Intake()
        self._request: Request | None = None
        self._plan: tuple[Target, Caller | None] | None = None
        self._answer: Answer | None = None
        self._repeat: Repeat | None = None
        self._ready: Repeat | None = None
        self._bridge: Bridge | None = None
        self._has_begun = False
        self.began_at = 0.0

    @property
    def dispatcher(self) -> Dispatcher:
        """The site's; only asked where calls are served."""
        dispatcher = self.site.dispatcher
        assert dispatcher is not None  # noqa: S101
        return dispatcher

    @property
    def is_last(self) -> bool:
        """Whether the connection is closed after the present answer."""
        request = self._request
        return request is None or request.is_last or not request.is_whole or self.site.is_draining

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked or answered at the moment."""
        return self._request is None and not self._has_begun

    # -- bytes in -------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller has connected."""
        super().connection_made(transport)
        self._connections.add(self)
        self.began_at = self._loop.time()
        self.deadline = self.began_at + HEAD_SECONDS

    def data_received(self, data: bytes) -> None:
        """Bytes of the present request, or of those behind it."""
        ready = self._ready
        if ready is not None:
            self._ready = None
            body = ready.body(data)
            if body is not None and self._start_again(ready, body):
                return
        if self._is_closing:
            return
        intake = self._intake
        intake.feed(data)
        if intake.requests:
            if intake.held_bytes > _AHEAD_BYTES:
                self.pause()
            if not intake.is_turning:
                self._advance()
        elif not self._has_begun:
            self._has_begun = True
            self.deadline = self._loop.time() + HEAD_SECONDS

    def connection_lost(self, error: Exception | None) -> None:
        """The caller has gone: its call is taken out of the line, or cancelled."""
        super().connection_lost(error)
        self._connections.discard(self)
        answer, bridge = self._answer, self._bridge
        self._answer = self._bridge = self._ready = None
        if answer is not None and answer.call is not None:
            self.dispatcher.gone(answer.call)
        if self._repeat is not None:
            self._repeat.forget()
            self._repeat = None
        if bridge is not None:
            bridge.gone()

    # -- one request after the other ------------------------------------------------------------

    def _advance(self) -> None:
        """Do for the first request what can be done now."""
        request = self._request
        if request is None:
            request = self._request = self._intake.requests[0]
            self._has_begun = False
        if request.error is not None:
            self._give_up(request.error)
        elif self._answer is not None:
            self._upload(request, self._answer)
        elif self._bridge is None:
            if request.is_whole:
                self._start(request)
            else:
                self._wait_for_body(request)

    def _wait_for_body(self, request: Request) -> None:
        if self._plan is None:
            if not self._admit(request):
                return
            self.began_at = self._loop.time()
            self.deadline = self.began_at + SLOT_WAITS_SECONDS
            if request.named.get(b"expect", b"").lower() == b"100-continue":
                self._transport.write(responses.CONTINUE)
        if self._is_too_long(request):
            return
        assert self._plan is not None  # noqa: S101
        if self._plan[0].is_execute and request.body_bytes >= HELD_BYTES:
            self._start(request)

    def _upload(self, request: Request, answer: Answer) -> None:
        """More of a body that a call waits for."""
        call = answer.call
        upload = call.upload if call is not None else None
        if call is None or upload is None or upload.is_whole or self._is_too_long(request):
            return
        if request.is_whole:
            upload.finish()
        elif not upload.wants_more:
            self.pause()

    def _is_too_long(self, request: Request) -> bool:
        limit = self.site.max_body_bytes
        if request.body_bytes <= limit:
            return False
        self._give_up(PayloadTooLarge(f"a body may have {limit} bytes at most"))
        return True

    def _admit(self, request: Request) -> bool:
        """All checks that need no body; return whether the request may go on."""
        target = known_target(request.target)
        try:
            caller = self.site.admit(request, target)
        except PythonPoolError as error:
            self._refuse(error, target)
            return False
        self._plan = (target, caller)
        return True

    def _start(self, request: Request) -> None:
        """Give the request to dispatch, or to the application."""
        if self._plan is None and not self._admit(request):
            return
        assert self._plan is not None  # noqa: S101
        target, caller = self._plan
        self.deadline = NEVER
        guard = self.site.guard
        if not target.is_execute or guard is None or caller is None:
            self._bridge = Bridge(self, request, target, caller)
            return
        try:
            answer = call_of(self, request, target, caller, guard)
        except PythonPoolError as error:
            self._refuse(error, target)
            return
        self._answer = answer
        call = answer.call
        assert call is not None  # noqa: S101
        give_body(call, request)
        upload = call.upload
        if upload is not None:
            self.deadline = self._loop.time() + CHECK_SECONDS
            if not upload.wants_more and not request.is_whole:
                self.pause()
        self._repeat = repeat_of(
            request,
            target,
            guard.access,
            call,
            answer,
            self.dispatcher.pools,
            self.site.max_body_bytes,
        )
        self.dispatcher.submit(call, target.queue_timeout)

    def _start_again(self, repeat: Repeat, body: bytes) -> bool:
        """Start the last call once more with `body`; False when it has to be judged anew."""
        guard, dispatcher = self.site.guard, self.dispatcher
        assert guard is not None  # noqa: S101
        call = repeat.call(body, guard.access, dispatcher.pools)
        if call is None:
            return False
        self._request = repeat.request
        self._intake.requests.append(repeat.request)
        self._answer = repeat.answer
        self.deadline = NEVER
        dispatcher.submit(call, repeat.queue_timeout)
        return True

    def answered(self, is_last: bool) -> None:
        """The result of a call is written: `finished`, and the same call may come again."""
        repeat, intake = self._repeat, self._intake
        if repeat is None or is_last or len(intake.requests) > 1 or intake.held_bytes:
            self.finished()
            return
        intake.requests.clear()
        self._request = self._answer = self._plan = None
        self.began_at = now = self.site.now
        self.deadline = now + IDLE_SECONDS
        self._ready = repeat
        if self.is_stuck:
            self._wait_for_room()

    def finished(self) -> None:
        """The answer is written: on to the next request, or the end of the connection."""
        is_last = self.is_last
        if self._answer is not None:
            self._answer.call = None  # each holds the other: the collector would have to part them
        self._request = self._answer = self._bridge = self._plan = self._repeat = None
        if is_last:
            self._close()
            return
        self.began_at = self.site.now
        self.deadline = self.began_at + IDLE_SECONDS
        intake = self._intake
        if intake.held_bytes or len(intake.requests) > 1:
            intake.is_turning = True
            self._loop.call_soon(self._next)
        else:
            intake.requests.clear()
            if intake.in_head:
                self._has_begun = True
                self.deadline = self._loop.time() + HEAD_SECONDS
        if self.is_stuck:
            self._wait_for_room()

    def _wait_for_room(self) -> None:
        """Who does not take its answers asks for nothing more: they would fill the memory."""
        self.pause()
        self.wake_in(CHECK_SECONDS)

    def _go_on(self) -> None:
        """The answers before have been taken."""
        if self._intake.is_turning:
            self._loop.call_soon(self._next)
        else:
            self.read_on()
        self.wake_in(HEAD_SECONDS if self._has_begun else IDLE_SECONDS)

    def _next(self) -> None:
        if self._is_closing or self.is_stuck or not self._intake.is_turning:
            return
        self._intake.next()
        self.read_on()
        if self._intake.requests:
            self._advance()
        else:
            self._has_begun = True
            self.deadline = self._loop.time() + HEAD_SECONDS

    # -- answers --------------------------------------------------------------------------------

    def head(self, status: int, fields: responses.Fields) -> bytes:
        """The head of an answer, with Date, and `Connection: close` where it is the last."""
        more = [(b"Date", self.site.date), *([_CLOSE] if self.is_last else ())]
        return responses.head(status, [*fields, *more])

    def answer_problem(
        self, error: PythonPoolError, fields: responses.Fields | None = None
    ) -> None:
        """Answer the present request with an error."""
        body = responses.problem_body(error)
        if fields is None:
            fields = responses.error_fields(error)
        request = self._request
        content = [
            (b"Content-Type", responses.PROBLEM),
            (b"Content-Length", b"%d" % len(body)),
        ]
        if request is not None and request.method == b"HEAD":
            body = b""
        self._transport.write(self.head(error.status, content + fields) + body)
        self.finished()

    def _refuse(self, error: PythonPoolError, target: Target) -> None:
        """Answer a request that does not become a call."""
        fields = None
        if target.is_execute and self.site.dispatcher is not None:
            error = self.dispatcher.refused_early(error, target.pool, target.command)
            fields = responses.error_fields(error)
            if error.status == 405:
                fields.append((b"Allow", b"POST"))
        self.answer_problem(error, fields)

    def _give_up(self, error: PythonPoolError) -> None:
        """End the present request with `error`, whatever has become of it, and close."""
        answer, bridge = self._answer, self._bridge
        self._answer = self._bridge = None
        if answer is not None and answer.call is not None:
            self.dispatcher.give_up(answer.call, error)
            if answer.has_head:
                self.abort()
                return
        elif bridge is not None:
            bridge.gone()
            if bridge.has_head:
                self.abort()
                return
        elif self._plan is not None and self._plan[0].is_execute:
            self._refuse(error, self._plan[0])
            return
        self.answer_problem(error)

    def _close(self) -> None:
        intake = self._intake
        request = intake.requests[0] if intake.requests else None
        self.close(request is not None and request.is_whole and not intake.held_bytes)

    # -- time and room --------------------------------------------------------------------------

    def overdue(self, now: float) -> None:
        """The deadline of the present request, or of waiting for one, has come."""
        if self._answer is not None:
            self._check_answer(now, self._answer)
        elif self._request is not None:
            self._check_body(now, self._request)
        elif self._has_begun:
            self._has_begun = False
            self.answer_problem(RequestTimeout(f"no whole head within {HEAD_SECONDS:.0f} s"))
        elif self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._is_closing = True
            self._transport.close()

    def _check_answer(self, now: float, answer: Answer) -> None:
        upload = answer.call.upload if answer.call is not None else None
        request = self._request
        if upload is not None and request is not None and not request.is_whole:
            self.deadline = now + CHECK_SECONDS
            if upload.is_slow(now):
                self._give_up(RequestTimeout("the body came slower than 1 MiB/s over 2 s"))
            return
        following = answer.tick(now)
        self.deadline = NEVER if following is None else following

    def _check_body(self, now: float, request: Request) -> None:
        """A slot must not wait for a body that does not come."""
        target = self._plan[0] if self._plan is not None else None
        pool = None
        if target is not None and target.is_execute and self.site.dispatcher is not None:
            pool = self.dispatcher.pools.by_name.get(target.pool)
        could_run = pool is None or (bool(pool.idle) and not pool.queued)
        if now - self.began_at >= BODY_SECONDS or (target and target.is_execute and could_run):
            self._give_up(RequestTimeout("the body came too slowly"))
        else:
            self.deadline = now + CHECK_SECONDS

    def stuck(self, is_stuck: bool) -> None:
        """The caller takes no (takes) bytes of the present answer."""
        if self._bridge is not None:
            self._bridge.stuck(is_stuck)
        if is_stuck:
            return
        if self._answer is not None:
            self._answer.drained()
            self.wake_in(CHECK_SECONDS)
        elif self._bridge is not None:
            self.deadline = NEVER
        elif self._request is not None:
            self.wake_in(CHECK_SECONDS)
        else:
            self._go_on()
