"""How every gRPC connection of a node is set, and errors on their way through gRPC."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import grpc
import grpc.aio
from nova_proto.v1 import task_pb2

from nova_node.adapters.wire import failure_from_pb, failure_to_pb
from nova_node.adapters.wire_checks import MESSAGE_MAX_BYTES, clean
from nova_node.core import errors
from nova_node.core.errors import NovaError

ERROR_KEY = "nova-error-bin"

SAID_MAX_CHARS = 512
"""Of what an error says and of its fix, on the way to a caller: whoever reads it takes 8 KiB of
metadata, and what was wrong may have come from outside."""

DETAILS_MAX_CHARS = 256
"""Of the same in gRPC's own words, where a character may take nine bytes."""

METADATA_MAX_BYTES = 16 << 10
"""With a call; above the half of it gRPC refuses some."""

END_S = 10.0
"""A caller that reads nothing does not read its end either: by then it is cut off without."""

_COMMON: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
]

CLIENT_OPTIONS: list[tuple[str, Any]] = [
    *_COMMON,
    # a proxy variable would hijack even 127.0.0.1
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]

SERVER_OPTIONS: list[tuple[str, Any]] = [
    *_COMMON,
    # otherwise a second server shares the port in silence
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.server_handshake_timeout_ms", 2_000),
    # until a caller has agreed to our limits, they do not hold
    ("grpc.http2.settings_timeout", 2_000),
    ("grpc.max_concurrent_streams", 1_024),
    ("grpc.max_metadata_size", METADATA_MAX_BYTES // 2),
    ("grpc.absolute_max_metadata_size", METADATA_MAX_BYTES),
]

_STATUS_OF: list[tuple[type[NovaError], grpc.StatusCode]] = [
    (errors.Overloaded, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (errors.Unavailable, grpc.StatusCode.UNAVAILABLE),
    (errors.Draining, grpc.StatusCode.UNAVAILABLE),
    (errors.Invalid, grpc.StatusCode.INVALID_ARGUMENT),
    (errors.NotFound, grpc.StatusCode.NOT_FOUND),
    (errors.Refused, grpc.StatusCode.FAILED_PRECONDITION),
    (errors.Corrupt, grpc.StatusCode.DATA_LOSS),
]

_STATUS_OF_CODE = {
    "out_of_range": grpc.StatusCode.OUT_OF_RANGE,
    "forbidden": grpc.StatusCode.PERMISSION_DENIED,
}

_ABOUT_THE_CALLER = ("unauthenticated", "identity_", "token_")
"""Beginnings of the codes that say that it is not known who calls."""


async def abort(context: Any, error: NovaError) -> NoReturn:
    """End a call with the error: a gRPC status for everybody, and all of it in the trailer."""
    pb = task_pb2.Error()
    failure_to_pb(error.failure(), pb)
    pb.message, pb.fix = clean(pb.message, SAID_MAX_CHARS), clean(pb.fix, SAID_MAX_CHARS)
    pb.ClearField("traceback")
    details = clean(pb.message, DETAILS_MAX_CHARS)
    task = asyncio.current_task()
    assert task is not None
    cut = asyncio.get_running_loop().call_later(END_S, task.cancel)
    try:
        await context.abort(_status_of(error), details, ((ERROR_KEY, pb.SerializeToString()),))
    finally:
        cut.cancel()
    raise AssertionError("abort returns never")


def _status_of(error: NovaError) -> grpc.StatusCode:
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    if error.code.startswith(_ABOUT_THE_CALLER):
        return grpc.StatusCode.UNAUTHENTICATED
    kinds = (status for kind, status in _STATUS_OF if isinstance(error, kind))
    return next(kinds, grpc.StatusCode.INTERNAL)


def from_rpc(error: grpc.aio.AioRpcError, what: str) -> NovaError:
    """The error that a peer answered with, or Unavailable."""
    for key, value in error.trailing_metadata() or ():
        if key == ERROR_KEY and isinstance(value, bytes):
            failure = failure_from_pb(task_pb2.Error.FromString(value))
            kind = errors.Retryable if failure.retryable else errors.Terminal
            return kind(failure.message, failure.fix, failure.code)
    return errors.Unavailable(f"{what}: {error.code().name.lower()}: {error.details()}")
