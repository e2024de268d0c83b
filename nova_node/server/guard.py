"""Requests that are no messages of ours end in a typed error, before and inside streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from nova_node.adapters.grpc_settings import abort
from nova_node.core.errors import Invalid

_UNREADABLE = object()


class Guarded:
    """In the place of a server where servicers are added: each of their methods is guarded."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._server.add_generic_rpc_handlers([_Service(handler) for handler in handlers])

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Of synchronous servers only."""


class _Service(grpc.GenericRpcHandler):
    def __init__(self, inner: grpc.GenericRpcHandler) -> None:
        self._inner = inner
        self._known: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = handler_call_details.method
        known = self._known.get(method)
        if known is None:
            handler: Any = self._inner.service(handler_call_details)
            if handler is None:
                return None
            known = self._known[method] = _guard(handler)
        return known


def _guard(handler: Any) -> Any:
    parse: Callable[[bytes], Any] = handler.request_deserializer

    def parse_or_not(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _UNREADABLE

    match handler.request_streaming, handler.response_streaming:
        case False, False:
            answer = handler.unary_unary

            async def unary(request: Any, context: Any) -> Any:
                if request is _UNREADABLE:
                    await abort(context, _unreadable())
                return await answer(request, context)

            return handler._replace(request_deserializer=parse_or_not, unary_unary=unary)
        case False, True:
            answers = handler.unary_stream

            async def replies(request: Any, context: Any) -> AsyncIterator[Any]:
                if request is _UNREADABLE:
                    await abort(context, _unreadable())
                async with aclosing(answers(request, context)) as stream:
                    async for reply in stream:
                        yield reply

            return handler._replace(request_deserializer=parse_or_not, unary_stream=replies)
        case _, streams:
            name = "stream_stream" if streams else "stream_unary"
            return handler._replace(**{name: _guard_stream(getattr(handler, name))})


def _guard_stream(run: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    async def guarded(requests: Any, context: Any) -> Any:
        # by itself, it would go with the first write, and an abort beside that fails inside grpc
        await context.send_initial_metadata(())
        try:
            return await run(requests, context)
        except DecodeError:
            await abort(context, _unreadable())

    return guarded


def _unreadable() -> Invalid:
    return Invalid("this is no message of the protocol", "see proto/nova_proto/v1")
