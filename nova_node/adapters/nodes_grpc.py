"""What a tool on this machine asks of a running node. Blocking calls, each with a deadline.

`own` calls in the place of the person who runs the tool.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nova_proto.v1 import mesh_pb2, nodes_pb2, task_pb2
from nova_proto.v1.nodes_pb2_grpc import NodesStub

from nova_node.adapters.callers import channel_to
from nova_node.core.errors import NovaError, Refused, Unavailable

if TYPE_CHECKING:
    from nova_proto.identity.folder import Credentials

_REFUSALS = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)


def status(address: str, timeout_s: float, own: Credentials | None = None) -> dict[str, Any]:
    """One flat table of what the node says of itself. Raises NovaError."""
    with channel_to(address, own) as channel:
        nodes: Any = NodesStub(channel)
        said: nodes_pb2.NodeStatus = _call(
            address, lambda: nodes.Status(nodes_pb2.StatusRequest(), timeout=timeout_s)
        )
    view = _member(said.node.member)
    for field in nodes_pb2.NodeStatus.DESCRIPTOR.fields[1:]:
        view[field.name] = getattr(said, field.name)
    return view


def members(address: str, timeout_s: float, own: Credentials | None = None) -> list[dict[str, Any]]:
    """What the node knows of its mesh: `status`'s words for a member, with `skew` and `age_s`."""
    with channel_to(address, own) as channel:
        nodes: Any = NodesStub(channel)
        reply: nodes_pb2.ListNodesReply = _call(
            address, lambda: nodes.List(nodes_pb2.ListNodesRequest(), timeout=timeout_s)
        )
    return [
        {**_member(view.member), "skew": view.skew, "age_s": view.age_s, "self": view.self}
        for view in reply.nodes
    ]


def drain(address: str, stay: bool, timeout_s: float, deadline_s: float) -> int:
    """The number of attempts that still ran when `timeout_s` was over. Raises NovaError."""
    request = nodes_pb2.DrainRequest(stay=stay, timeout_s=timeout_s)
    with channel_to(address) as channel:
        nodes: Any = NodesStub(channel)
        reply: nodes_pb2.DrainReply = _call(
            address, lambda: nodes.Drain(request, timeout=deadline_s)
        )
    if reply.resumed:
        raise NovaError("the drain was ended: somebody resumed the node", "drain it again")
    return reply.left_running


def resume(address: str, timeout_s: float) -> bool:
    """Whether it was draining. Raises NovaError."""
    with channel_to(address) as channel:
        nodes: Any = NodesStub(channel)
        reply: nodes_pb2.ResumeReply = _call(
            address, lambda: nodes.Resume(nodes_pb2.ResumeRequest(), timeout=timeout_s)
        )
    return reply.was_draining


def health(address: str, timeout_s: float, own: Credentials | None = None) -> tuple[str, float]:
    """SERVING or NOT_SERVING, and the milliseconds it took. Raises NovaError."""
    with channel_to(address, own) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        began = time.monotonic()
        reply = _call(
            address, lambda: stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        )
        took_ms = (time.monotonic() - began) * 1e3
    return _enum_name(health_pb2.HealthCheckResponse.ServingStatus, reply.status), took_ms


def _member(member: mesh_pb2.Member) -> dict[str, Any]:
    return {
        "node": member.node,
        "name": member.name,
        "listens": member.address,
        "state": _enum_name(mesh_pb2.MemberState, member.state).lower(),
        "mesh": member.mesh,
        "version": member.version,
        "protocol": member.protocol,
        "slots": member.digest.slots,
        "slots_free": member.digest.slots_free,
        "draining": member.digest.draining,
    }


def _enum_name(kind: Any, number: int) -> str:
    try:
        return str(kind.Name(number))
    except ValueError:
        return f"unknown ({number})"


def _call(address: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except grpc.RpcError as raised:
        error: Any = raised
        for key, value in error.trailing_metadata() or ():
            if key == "nova-error-bin":
                said = task_pb2.Error.FromString(value)
                kind = Refused if error.code() in _REFUSALS else NovaError
                raise kind(said.message, said.fix, said.code) from None
        details = str(error.details() or "")
        match error.code():
            case grpc.StatusCode.UNAVAILABLE:
                fix = "see that it runs (`nova-node status`) and that the address is right"
                raise Unavailable(f"no node answers at {address}", fix) from None
            case grpc.StatusCode.DEADLINE_EXCEEDED:
                message = f"the node at {address} did not answer in time"
                raise Unavailable(message, "try again; see `nova-node doctor`") from None
            case grpc.StatusCode.UNIMPLEMENTED:
                message = f"what listens at {address} is no node, or one of another version"
                raise Refused(message, "compare versions with `nova-node --version`") from None
            case code:
                message = f"{address}: {details or code.name.lower()}"
                raise NovaError(message, "see `nova-node doctor`") from None
