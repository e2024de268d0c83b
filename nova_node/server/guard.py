"""Stands before every method: who calls, and whether what arrives is a message of ours.

Callers are looked at when a call begins and, as long as a stream is open, again at each `sweep`.
Requests that are no messages of ours end in a typed error, before and inside streams.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from nova_node.adapters.grpc_settings import abort
from nova_node.core.errors import Invalid, NovaError
from nova_node.server.caller import set_caller
from nova_node.server.gate import Gate, Shown


class Guarded:
    """In the place of a server where servicers are added: each of their methods is guarded."""

    def __init__(self, server: Any, gate: Gate) -> None:
        self._server = server
        self._streams = Streams(gate)

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        services = [_Service(handler, self._streams) for handler in handlers]
        self._server.add_generic_rpc_handlers(services)

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Of synchronous servers only."""

    def sweep(self) -> None:
        """End the streams of callers that may no longer have them."""
        self._streams.sweep()


class _Open:
    """A stream, and why it must end, when it must."""

    def __init__(self, shown: Shown, task: asyncio.Task[Any]) -> None:
        self.shown = shown
        self.task = task
        self.fault: NovaError | None = None


class Streams:
    """Those that are open now."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
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
        for stream in self._open:
            if stream.fault is None:
                try:
                    self.gate.check(stream.shown)
                except NovaError as error:
                    stream.fault = error
                    stream.task.cancel()


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
            replies = _guard_replies(handler.unary_stream, parse, method, streams)
            return handler._replace(request_deserializer=None, unary_stream=replies)
        case _, many:
            name = "stream_stream" if many else "stream_unary"
            run = getattr(handler, name)
            # of the two ways to write a stream, the servicers of grpc itself use both
            guard = _guard_replies if inspect.isasyncgenfunction(run) else _guard_stream
            return handler._replace(**{name: guard(run, None, method, streams)})


def _guard_unary(
    answer: Callable[[Any, Any], Any], parse: Callable[[bytes], Any], method: str, gate: Gate
) -> Callable[[Any, Any], Any]:
    async def unary(data: bytes, context: Any) -> Any:
        try:
            set_caller(gate.enter(method, context).name)
            request = _parsed(parse, data)
        except NovaError as error:
            await abort(context, error)
        return await answer(request, context)

    return unary


def _guard_replies(
    answers: Callable[[Any, Any], Any],
    parse: Callable[[bytes], Any] | None,
    method: str,
    streams: Streams,
) -> Callable[[Any, Any], Any]:
    """Of a method that yields its replies; `parse` None: its requests are a stream."""
    if not inspect.isasyncgenfunction(answers):
        return _guard_stream(answers, parse, method, streams)

    async def replies(given: Any, context: Any) -> AsyncIterator[Any]:
        try:
            shown = streams.gate.enter(method, context)
            set_caller(shown.name)
            request = given if parse is None else _parsed(parse, given)
            with streams.open(shown):
                async with aclosing(answers(request, context)) as stream:
                    async for reply in stream:
                        yield reply
        except DecodeError:
            await abort(context, _unreadable())
        except NovaError as error:
            await abort(context, error)

    return replies


def _guard_stream(
    run: Callable[[Any, Any], Any],
    parse: Callable[[bytes], Any] | None,
    method: str,
    streams: Streams,
) -> Callable[[Any, Any], Any]:
    """Of a method that reads and writes through its context."""

    async def guarded(given: Any, context: Any) -> Any:
        try:
            shown = streams.gate.enter(method, context)
            set_caller(shown.name)
            request = given if parse is None else _parsed(parse, given)
            # by itself, it would go with the first write, and an abort beside that fails inside grpc
            await context.send_initial_metadata(())
            with streams.open(shown):
                return await run(request, context)
        except DecodeError:
            await abort(context, _unreadable())
        except NovaError as error:
            await abort(context, error)

    return guarded


def _parsed(parse: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return parse(data)
    except DecodeError:
        raise _unreadable() from None


def _unreadable() -> Invalid:
    return Invalid("this is no message of the protocol", "see proto/nova_proto/v1")
