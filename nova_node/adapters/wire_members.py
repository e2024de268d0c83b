"""Between what gossip and cards say of a node and their protobuf messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nova_proto.v1 import mesh_pb2

from nova_node.adapters.wire import Repeated
from nova_node.adapters.wire_checks import (
    CAPABILITIES_MAX,
    CARD_LABELS_MAX,
    DEFAULT_MAX_BYTES,
    MEMBERS_MAX,
    MESSAGE_MAX_CHARS,
    PARAMS_MAX,
    PLATFORM_MAX_CHARS,
    U32_MAX,
    WARNINGS_MAX,
    check_address,
    check_capability,
    check_count,
    check_identifier,
    check_name,
    check_node,
    check_number,
    check_prose,
    clean,
)
from nova_node.adapters.wire_demand import labels_from_pb, limits_from_pb, limits_to_pb
from nova_node.adapters.wire_models import MODELS_MAX, model_from_pb, model_to_pb
from nova_node.core.errors import Invalid
from nova_node.core.model import (
    PARAM_TYPES,
    Capability,
    Card,
    Digest,
    Limits,
    Member,
    MemberState,
    Param,
)

_STATES = {int(s): s for s in MemberState}
_NO_LIMITS = Limits()
_NO_DIGEST = Digest()

# ---------------------------------------------------------------- members


def members_to_pb(members: Iterable[Member], pbs: Repeated[mesh_pb2.Member]) -> None:
    for member in members:
        member_to_pb(member, pbs.add())


def members_from_pb(pbs: Sequence[mesh_pb2.Member]) -> list[Member]:
    check_count(pbs, "members", MEMBERS_MAX)
    return [member_from_pb(pb) for pb in pbs]


def member_to_pb(member: Member, pb: mesh_pb2.Member) -> None:
    pb.node = member.node
    pb.name = member.name
    pb.address = member.address
    pb.incarnation = member.incarnation
    pb.state = member.state  # pyright: ignore[reportAttributeAccessIssue]
    if member.digest != _NO_DIGEST:
        digest_to_pb(member.digest, pb.digest)
    pb.protocol = member.protocol
    pb.version = member.version
    pb.mesh = member.mesh
    pb.digest_seq = member.digest_seq


def member_from_pb(pb: mesh_pb2.Member) -> Member:
    state = _STATES.get(pb.state)
    if state is None:
        raise Invalid(f"{pb.state} is not a member's state", "use 0 to 3; or upgrade this node")
    return Member(
        check_node(pb.node),
        check_name(pb.name, "a node's name"),
        check_address(pb.address),
        check_number(pb.incarnation, "an incarnation"),
        state,
        digest_from_pb(pb.digest) if pb.HasField("digest") else _NO_DIGEST,
        pb.protocol,
        check_name(pb.version, "a version", 0),
        check_name(pb.mesh, "a mesh's name", 0),
        check_number(pb.digest_seq, "a digest's number"),
    )


def digest_to_pb(digest: Digest, pb: mesh_pb2.Digest) -> None:
    """Gauges over 32 bits are sent as the largest."""
    pb.card_version = digest.card_version
    pb.slots = digest.slots
    pb.slots_free = digest.slots_free
    pb.queued = min(digest.queued, U32_MAX)
    pb.lag_ms = min(digest.lag_ms, U32_MAX)
    pb.draining = digest.draining


def digest_from_pb(pb: mesh_pb2.Digest) -> Digest:
    return Digest(pb.card_version, pb.slots, pb.slots_free, pb.queued, pb.lag_ms, pb.draining)


# ---------------------------------------------------------------- cards


def card_to_pb(card: Card, pb: mesh_pb2.Card) -> None:
    """Texts for people are cut to their limits and cleaned of control characters."""
    pb.node = card.node
    pb.card_version = card.card_version
    for capability in card.capabilities:
        capability_to_pb(capability, pb.capabilities.add())
    for key, label in card.labels:
        pb.labels[key] = label
    pb.slots = card.slots
    pb.cpus = card.cpus
    pb.memory_bytes = card.memory_bytes
    pb.platform = clean(card.platform, PLATFORM_MAX_CHARS)
    pb.python = clean(card.python, PLATFORM_MAX_CHARS)
    pb.warnings.extend([clean(warning, MESSAGE_MAX_CHARS) for warning in card.warnings])
    for model in card.models:
        model_to_pb(model, pb.models.add())


def card_from_pb(pb: mesh_pb2.Card) -> Card:
    check_count(pb.capabilities, "capabilities", CAPABILITIES_MAX)
    check_count(pb.warnings, "warnings", WARNINGS_MAX)
    check_count(pb.models, "models", MODELS_MAX)
    return Card(
        node=check_node(pb.node),
        card_version=pb.card_version,
        capabilities=tuple([capability_from_pb(c) for c in pb.capabilities]),
        labels=labels_from_pb(pb.labels.items(), CARD_LABELS_MAX),
        slots=pb.slots,
        cpus=pb.cpus,
        memory_bytes=check_number(pb.memory_bytes, "a node's memory"),
        platform=check_prose(pb.platform, "a platform", PLATFORM_MAX_CHARS),
        python=check_prose(pb.python, "a Python version", PLATFORM_MAX_CHARS),
        warnings=tuple([check_prose(w, "a warning", MESSAGE_MAX_CHARS) for w in pb.warnings]),
        models=tuple([model_from_pb(m) for m in pb.models]),
    )


def capability_to_pb(capability: Capability, pb: mesh_pb2.Capability) -> None:
    pb.name = capability.name
    pb.version = capability.version
    pb.doc = clean(capability.doc, MESSAGE_MAX_CHARS)
    for param in capability.params:
        param_to_pb(param, pb.params.add())
    pb.splits = capability.splits
    pb.merges = capability.merges
    pb.waits = capability.waits
    if capability.limits != _NO_LIMITS:
        limits_to_pb(capability.limits, pb.limits)


def capability_from_pb(pb: mesh_pb2.Capability) -> Capability:
    check_count(pb.params, "parameters of a capability", PARAMS_MAX)
    return Capability(
        check_capability(pb.name),
        check_name(pb.version, "a version", 0),
        check_prose(pb.doc, "a capability's doc", MESSAGE_MAX_CHARS),
        tuple([param_from_pb(param) for param in pb.params]),
        pb.splits,
        pb.merges,
        limits_from_pb(pb.limits) if pb.HasField("limits") else _NO_LIMITS,
        waits=pb.waits,
    )


def param_to_pb(param: Param, pb: mesh_pb2.Param) -> None:
    pb.name = param.name
    pb.type = param.type
    pb.required = param.required
    pb.default = param.default
    pb.doc = clean(param.doc, MESSAGE_MAX_CHARS)


def param_from_pb(pb: mesh_pb2.Param) -> Param:
    name = check_identifier(pb.name)
    if pb.type not in PARAM_TYPES:
        raise Invalid(f"parameter {name} has no known type", f"use {', '.join(PARAM_TYPES)}")
    if len(pb.default) > DEFAULT_MAX_BYTES:
        raise Invalid(
            f"the default of parameter {name} is {len(pb.default)} bytes",
            f"use at most {DEFAULT_MAX_BYTES}",
        )
    doc = check_prose(pb.doc, "a parameter's doc", MESSAGE_MAX_CHARS)
    return Param(name, pb.type, pb.required, pb.default, doc)
