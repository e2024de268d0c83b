"""The one place that imports grpc: channels, stubs, and the errors that calls raise."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
# The older poller of the C core: one thread hop less for each message, a fifth off a round trip.
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
# No suite of TLS 1.2 that a P-256 certificate could be used with: only TLS 1.3 is left.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES128-GCM-SHA256")

import grpc
import grpc.aio
from nova_proto import local_key
from nova_proto.v1 import task_pb2
from nova_proto.v1.blobs_pb2_grpc import BlobsStub
from nova_proto.v1.identity_pb2_grpc import IdentityStub
from nova_proto.v1.metrics_pb2_grpc import MetricsStub
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from nova_proto.v1.tasks_pb2_grpc import TasksStub

from nova_client import errors, find, rights

if TYPE_CHECKING:
    from nova_proto.identity.folder import Credentials

MESSAGE_BYTES_MAX = 16 << 20
CHANNELS_KEPT_MAX = 8

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
    """A channel to one node and the stubs on it. Close it when done.

    With an `identity` it is mutual TLS and only the node with the id `node` may answer; without,
    plaintext, for loopback."""

    def __init__(self, address: str, node: str = "", identity: Credentials | None = None) -> None:
        self.address = address
        #: how often it was renewed
        self.age = 0
        self._node = node
        #: the last one is called on, the others are left to what runs on them
        self._channels: list[grpc.aio.Channel] = []
        self._open(identity)

    def _open(self, identity: Credentials | None) -> None:
        made = open_channel(self.address, self._node, identity)
        self._channels.append(made)
        channel = rights.limited(made if identity else _keyed(made, self.address))
        self.tasks: Any = TasksStub(channel)
        self.nodes: Any = NodesStub(channel)
        self.blobs: Any = BlobsStub(channel)
        self.identity: Any = IdentityStub(channel)
        self.metrics: Any = MetricsStub(channel)

    async def renew(self, identity: Credentials) -> None:
        """What is called from now on shows the new certificate. What runs goes on until the old one
        has expired; streams are opened again then."""
        self.age += 1
        self._open(identity)
        if len(self._channels) > CHANNELS_KEPT_MAX:
            await self._channels.pop(0).close()

    def error(self, error: grpc.aio.AioRpcError, age: int) -> errors.NovaError:
        """Of a call that began at `age`. A certificate that is no more in use excuses its end."""
        found = to_error(error, self.address)
        if age != self.age and found.code.startswith("identity_"):
            return errors.Unreachable(f"{found.message}, and has been renewed", "try again")
        return found

    async def call(self, method: Any, request: Any, timeout_s: float) -> Any:
        """One unary call. Raises the typed error the node answered with, Unreachable or Timeout."""
        age = self.age
        try:
            return await method(request, timeout=timeout_s)
        except RpcError as error:
            raise self.error(error, age) from None

    async def stream(self, method: Any, request: Any) -> AsyncGenerator[Any, None]:
        """The replies of one streaming call; raises as `call` does."""
        age, call = self.age, method(request)
        try:
            async for reply in call:
                yield reply
        except RpcError as error:
            raise self.error(error, age) from None
        finally:
            call.cancel()

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()


def open_channel(address: str, node: str, identity: Credentials | None) -> grpc.aio.Channel:
    """See Wire."""
    if identity is None:
        return grpc.aio.insecure_channel(address, options=OPTIONS)
    from nova_proto.identity import tls

    pin = tls.pin(identity.name.mesh, node)
    return grpc.aio.secure_channel(
        address, tls.channel_credentials(identity), options=[*OPTIONS, *pin]
    )


def _keyed(channel: grpc.aio.Channel, address: str) -> Any:
    """Calls on it show this user's local key, if a node of this user runs there: anybody may listen
    on loopback, and the key is not for them."""
    folder = find.runtime_dir()
    if folder is None or not any(place.is_at(address) for place in find.running(folder / "nodes")):
        return channel
    key = local_key.read(folder)
    return local_key.Keyed(channel, key) if key else channel


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
