"""Stands before every method: who calls, for how long, and whether what arrives is a message of ours.

Callers are looked at when a call begins and, as long as a stream is open, again at each `sweep`,
which also ends the streams of those that do not read. Unary calls have a deadline. Requests that
are no messages of ours end in a typed error, before and inside streams.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from time import monotonic
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from nova_node.adapters.grpc_settings import METADATA_MAX_BYTES, abort
from nova_node.core.errors import Invalid, NovaError, Overloaded
from nova_node.server.caller import set_caller
from nova_node.server.gate import Gate, Shown

PATIENCE_S = 180.0
"""How long one message of a stream may wait to be read: a chunk of a blob at 48 kbit/s."""

UNARY_MAX_S = 100_000.0
"""A day, as gRPC rounds it up on the wire."""


class Guarded:
    """In the place of a server where servicers are added: each of their methods is guarded."""

    def __init__(self, server: Any, gate: Gate, patience_s: float = PATIENCE_S) -> None:
        self._server = server
        self._streams = Streams(gate, patience_s)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        services = [_Service(handler, self._streams) for handler in handlers]
        self._server.add_generic_rpc_handlers(services)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Of synchronous servers only."""

    def sweep(self) -> None:
        """End the streams of callers that may no longer have them, or do not read them."""
        self._streams.sweep()


class _Open:
    """A stream, and why it must end, when it must."""

    def __init__(self, shown: Shown, task: asyncio.Task[Any]) -> None:
        self.shown = shown
        self.task = task
        self.fault: NovaError | None = None
        #: since when the message under way waits for its reader
        self.waits_since: float | None = None


class _Noted:
    """The context of a stream, which notes how long its messages wait to be read."""

    def __init__(self, context: Any, stream: _Open) -> None:
        self._context = context
        self._stream = stream
        self.read = context.read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        self._stream.waits_since = monotonic()
        try:
            await self._context.write(message)
        finally:
            self._stream.waits_since = None


class Streams:
    """Those that are open now."""

    def __init__(self, gate: Gate, patience_s: float) -> None:
        self.gate = gate
        self._patience_s = patience_s
        self._open: set[_Open] = set()

    @contextmanager
    def open(self, shown: Shown) -> Generator[_Open]:
        """To be entered in the task that serves the stream."""
        task = asyncio.current_task()
        assert task is not None
        stream = _Open(shown, task)
        self._open.add(stream)
        try:
            yield stream
        except asyncio.CancelledError:
            if stream.fault is None:
                raise
            task.uncancel()
            raise stream.fault from None
        finally:
            self._open.discard(stream)

    def sweep(self) -> None:
        now = monotonic()
        for stream in self._open:
            if stream.fault is None:
                try:
                    self.gate.check(stream.shown)
                    self._check_reader(stream, now)
                except NovaError as error:
                    stream.fault = error
                    stream.task.cancel()

    def _check_reader(self, stream: _Open, now: float) -> None:
        if stream.waits_since is not None and now - stream.waits_since > self._patience_s:
            raise Overloaded(
                f"the caller has not read for {self._patience_s:g} s",
                "read streams as they come, and begin again where this one ended",
                "slow",
            )


class _Service(grpc.GenericRpcHandler):
    def __init__(self, inner: grpc.GenericRpcHandler, streams: Streams) -> None:
        self._inner = inner
        self._streams = streams
        self._known: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        known = self._known.get(method)
        if known is None:
            handler: Any = self._inner.service(handler_call_details)
            if handler is None:
                return None
            known = self._known[method] = _guard(handler, str(method), self._streams)
        return known


def _guard(handler: Any, method: str, streams: Streams) -> Any:
    parse: Callable[[bytes], Any] = handler.request_deserializer
    match handler.request_streaming, handler.response_streaming:
        case False, False:
            unary = _guard_unary(handler.unary_unary, parse, method, streams.gate)
            return handler._replace(request_deserializer=None, unary_unary=unary)
        case False, True:
            replies = _guard_stream(handler.unary_stream, parse, method, streams)
            return handler._replace(request_deserializer=None, unary_stream=replies)
        case _, many:
            name = "stream_stream" if many else "stream_unary"
            guard = _guard_stream(getattr(handler, name), None, method, streams)
            return handler._replace(**{name: guard})


def _guard_unary(
    answer: Callable[[Any, Any], Any], parse: Callable[[bytes], Any], method: str, gate: Gate
) -> Callable[[Any, Any], Any]:
    async def unary(data: bytes, context: Any) -> Any:
        try:
            _enter(gate, method, context)
            _check_deadline(context.time_remaining())
            request = _parsed(parse, data)
        except NovaError as error:
            await abort(context, error)
        return await answer(request, context)

    return unary


def _guard_stream(
    answer: Callable[[Any, Any], Any],
    parse: Callable[[bytes], Any] | None,
    method: str,
    streams: Streams,
) -> Callable[[Any, Any], Any]:
    """`parse` None: its requests are a stream."""
    # of the two ways to write a stream, the servicers of grpc itself use both
    run = _written(answer) if inspect.isasyncgenfunction(answer) else answer

    async def guarded(given: Any, context: Any) -> Any:
        try:
            shown = _enter(streams.gate, method, context)
            request = given if parse is None else _parsed(parse, given)
            # by itself, it would go with the first write, and an abort beside that fails inside grpc
            await context.send_initial_metadata(())
            with streams.open(shown) as stream:
                return await run(request, _Noted(context, stream))
        except DecodeError:
            await abort(context, _unreadable())
        except NovaError as error:
            await abort(context, error)

    return guarded


def _written(answers: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """A method that yields its replies as one that writes them: so a write can be given up."""

    async def run(request: Any, context: Any) -> None:
        async with aclosing(answers(request, context)) as replies:
            async for reply in replies:
                await context.write(reply)

    return run


def _enter(gate: Gate, method: str, context: Any) -> Shown:
    """Raises NovaError."""
    shown = gate.enter(method, context)
    set_caller(shown.name)
    # gRPC does so too, but only of callers that have agreed to its limits
    size_bytes = sum(len(key) + len(value) for key, value in context.invocation_metadata() or ())
    if size_bytes > METADATA_MAX_BYTES:
        raise Invalid(
            f"{size_bytes} bytes of metadata",
            f"send at most {METADATA_MAX_BYTES // 2} bytes beside a request",
        )
    return shown


def _check_deadline(remaining_s: float | None) -> None:
    """Raises Invalid."""
    if remaining_s is None or remaining_s > UNARY_MAX_S:
        raise Invalid(
            "the call has no deadline" if remaining_s is None else "the call's deadline is too far",
            "set one on every unary call, of a day at most, as in timeout=10.0",
        )


def _parsed(parse: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return parse(data)
    except DecodeError:
        raise _unreadable() from None


def _unreadable() -> Invalid:
    return Invalid("this is no message of the protocol", "see proto/nova_proto/v1")
