"""Between Demand and its protobuf message.

Equal demands read from outside are the same object, so whoever keeps tasks by demand compares them
by identity first, and a mesh that submits the same thing again and again holds it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError
from nova_proto.v1 import task_pb2

from nova_node.adapters.wire_checks import (
    CALLS_MAX,
    LABELS_MAX,
    check_capability,
    check_count,
    check_identifier,
    check_name,
    check_number,
    check_reference,
    check_seconds,
)
from nova_node.core.errors import Invalid
from nova_node.core.model import (
    MAX_ATTEMPTS_DEFAULT,
    PRIORITY_DEFAULT,
    Demand,
    Durability,
    Limits,
)

PRIORITY_MAX = 9
ATTEMPTS_MAX = 100
SECRETS_MAX = 32
PREFERS_MAX = 64

_DURABILITIES = {int(d): d for d in Durability}
_NO_LIMITS = Limits()
_DEMANDS_REMEMBERED_MAX = 4096

_demand_of_bytes: dict[bytes, Demand] = {}
_demands: dict[Demand, Demand] = {}


def limits_to_pb(limits: Limits, pb: task_pb2.Limits) -> None:
    pb.wall_s = limits.wall_s
    pb.cpu_s = limits.cpu_s
    pb.memory_bytes = limits.memory_bytes
    pb.output_bytes = limits.output_bytes


def limits_from_pb(pb: task_pb2.Limits) -> Limits:
    return Limits(
        check_seconds(pb.wall_s, "the wall limit"),
        check_seconds(pb.cpu_s, "the cpu limit"),
        check_number(pb.memory_bytes, "the memory limit"),
        check_number(pb.output_bytes, "the output limit"),
    )


def demand_to_pb(demand: Demand, pb: task_pb2.Demand) -> None:
    pb.capability = demand.capability
    if demand.version:
        pb.version = demand.version
    for key, label in demand.labels:
        pb.labels[key] = label
    if demand.durability:
        pb.durability = demand.durability  # pyright: ignore[reportAttributeAccessIssue]
    if demand.priority != PRIORITY_DEFAULT:
        pb.priority = demand.priority
    if demand.max_attempts != MAX_ATTEMPTS_DEFAULT:
        pb.max_attempts = demand.max_attempts
    if demand.limits != _NO_LIMITS:
        limits_to_pb(demand.limits, pb.limits)
    if demand.deadline_s:
        pb.deadline_s = demand.deadline_s
    if demand.shards:
        pb.shards = demand.shards
    for key, reference in demand.secrets:
        pb.secrets[key] = reference
    if demand.sensitive:
        pb.sensitive = True
    for key, label in demand.prefers:
        pb.prefers.add(name=key, value=label)
    if demand.allowance_uusd:
        pb.allowance_uusd = demand.allowance_uusd


def demand_from_pb(pb: task_pb2.Demand) -> Demand:
    """Equal demands are the same object, as long as both are remembered."""
    key = pb.SerializeToString(deterministic=True)
    known = _demand_of_bytes.get(key)
    if known is not None:
        return known
    demand = _read_demand(pb)
    if len(_demand_of_bytes) >= _DEMANDS_REMEMBERED_MAX:
        _demand_of_bytes.clear()
        _demands.clear()
    demand = _demands.setdefault(demand, demand)
    _demand_of_bytes[key] = demand
    return demand


def demand_from_bytes(data: bytes) -> Demand:
    """Of a serialised message. Raises Invalid."""
    known = _demand_of_bytes.get(data)
    if known is not None:
        return known
    try:
        return demand_from_pb(task_pb2.Demand.FromString(data))
    except DecodeError:
        raise Invalid("a demand cannot be read", "see proto/nova_proto/v1/task.proto") from None


def _read_demand(pb: task_pb2.Demand) -> Demand:
    durability = _DURABILITIES.get(pb.durability)
    if durability is None:
        raise Invalid(f"{pb.durability} is not a durability", "use 0 (journaled) or 1 (volatile)")
    priority = pb.priority if pb.HasField("priority") else PRIORITY_DEFAULT
    max_attempts = pb.max_attempts if pb.HasField("max_attempts") else MAX_ATTEMPTS_DEFAULT
    if not 1 <= max_attempts <= ATTEMPTS_MAX:
        raise Invalid(
            f"max_attempts is {max_attempts}", f"use a number from 1 to {ATTEMPTS_MAX}, or unset it"
        )
    return Demand(
        capability=check_capability(pb.capability),
        version=check_name(pb.version, "a version", 0),
        labels=labels_from_pb(pb.labels.items(), LABELS_MAX),
        durability=durability,
        priority=check_number(priority, "the priority", PRIORITY_MAX),
        max_attempts=max_attempts,
        limits=limits_from_pb(pb.limits) if pb.HasField("limits") else _NO_LIMITS,
        deadline_s=check_seconds(pb.deadline_s, "the deadline"),
        shards=check_number(pb.shards, "shards", CALLS_MAX),
        secrets=_secrets_from_pb(pb.secrets.items()),
        sensitive=pb.sensitive,
        prefers=_prefers_from_pb(pb.prefers),
        allowance_uusd=check_number(pb.allowance_uusd, "the allowance"),
    )


def _secrets_from_pb(secrets: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Sorted by name."""
    pairs = sorted(secrets)
    check_count(pairs, "secrets", SECRETS_MAX)
    for name, reference in pairs:
        check_identifier(name)
        check_reference(reference)
    return tuple(pairs)


def _prefers_from_pb(pbs: Sequence[task_pb2.Label]) -> tuple[tuple[str, str], ...]:
    """In their order."""
    check_count(pbs, "preferred labels", PREFERS_MAX)
    return tuple([_label(pb.name, pb.value) for pb in pbs])


def labels_from_pb(labels: Iterable[tuple[str, str]], most: int) -> tuple[tuple[str, str], ...]:
    """Sorted by name."""
    pairs = sorted(labels)
    check_count(pairs, "labels", most)
    return tuple([_label(key, label) for key, label in pairs])


def _label(name: str, value: str) -> tuple[str, str]:
    return check_name(name, "a label's name"), check_name(value, "a label's value", 0)
