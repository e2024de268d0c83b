"""The one place that imports grpc: channels, stubs, and the errors that calls raise."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# The older poller of the C core: one thread hop less for each message, a fifth off a round trip.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")

import grpc
import grpc.aio
from nova_proto.v1 import task_pb2
from nova_proto.v1.blobs_pb2_grpc import BlobsStub
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from nova_proto.v1.tasks_pb2_grpc import TasksStub

from nova_client import errors

MESSAGE_BYTES_MAX = 16 << 20

OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]

RpcError = grpc.aio.AioRpcError
EOF: Any = grpc.aio.EOF

_BY_STATUS: dict[grpc.StatusCode, type[errors.NovaError]] = {
    grpc.StatusCode.UNAVAILABLE: errors.Unreachable,
    grpc.StatusCode.CANCELLED: errors.Unreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: errors.Timeout,
    grpc.StatusCode.RESOURCE_EXHAUSTED: errors.Overloaded,
    grpc.StatusCode.NOT_FOUND: errors.NotFound,
    grpc.StatusCode.INVALID_ARGUMENT: errors.Invalid,
    grpc.StatusCode.OUT_OF_RANGE: errors.Invalid,
    grpc.StatusCode.PERMISSION_DENIED: errors.Refused,
    grpc.StatusCode.UNAUTHENTICATED: errors.Refused,
    grpc.StatusCode.FAILED_PRECONDITION: errors.Refused,
    grpc.StatusCode.UNIMPLEMENTED: errors.Refused,
}

# grpc says so, with the status INTERNAL, when the connection goes while a message is written
_BROKE_MID_WRITE = "Internal error from Core"

_FIXES: dict[type[errors.NovaError], str] = {
    errors.Unreachable: "start one with `nova-node start`, or name one that runs: --node HOST:PORT",
    errors.Timeout: "try again with a longer timeout, or look at the node with `nova nodes`",
    errors.Overloaded: "try again in a moment, or submit to another node",
    errors.Refused: "see that node and client are of the same version: `nova nodes`",
}


class Wire:
    """A channel to one node and the stubs on it. Close it when done."""

    def __init__(self, address: str, credentials: grpc.ChannelCredentials | None = None) -> None:
        self.address = address
        self._channel = open_channel(address, credentials)
        self.tasks: Any = TasksStub(self._channel)
        self.nodes: Any = NodesStub(self._channel)
        self.blobs: Any = BlobsStub(self._channel)

    async def call(self, method: Any, request: Any, timeout_s: float) -> Any:
        """One unary call. Raises the typed error the node answered with, Unreachable or Timeout."""
        try:
            return await method(request, timeout=timeout_s)
        except RpcError as error:
            raise to_error(error, self.address) from None

    async def stream(self, method: Any, request: Any) -> AsyncGenerator[Any, None]:
        """The replies of one streaming call; raises as `call` does."""
        call = method(request)
        try:
            async for reply in call:
                yield reply
        except RpcError as error:
            raise to_error(error, self.address) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        await self._channel.close()


def open_channel(address: str, credentials: grpc.ChannelCredentials | None) -> grpc.aio.Channel:
    """A channel to host:port; `credentials` None is plaintext, for loopback."""
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    return grpc.aio.secure_channel(address, credentials, options=OPTIONS)


def to_error(error: grpc.aio.AioRpcError, address: str) -> errors.NovaError:
    """The typed error of a failed call: what the node said in its trailer, else by gRPC status."""
    for key, value in error.trailing_metadata() or ():
        if key == "nova-error-bin" and isinstance(value, bytes):
            said = task_pb2.Error.FromString(value)
            return errors.from_code(said.code, said.message, said.fix)
    kind = _BY_STATUS.get(error.code(), errors.NovaError)
    if error.details() == _BROKE_MID_WRITE:
        kind = errors.Unreachable
    if kind is errors.Unreachable:
        message = f"no node answers at {address}"
    elif kind is errors.Timeout:
        message = f"the node at {address} did not answer in time"
    else:
        message = f"{error.details() or error.code().name.lower()} (node at {address})"
    return kind(message, _FIXES.get(kind, ""))
