"""The calls of membership between simulated nodes: probes, probes through others, and syncs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from support.world_clock import Clock
from support.world_net import Host, Net

from nova_node.core.members import (
    AnswerProbe,
    AnswerSync,
    Fault,
    MemberSignal,
    ProbeAnswered,
    ProbeAsked,
    ProbeFailed,
    ProbeViaAsked,
    Refuse,
    SendProbe,
    SendProbeVia,
    SendSync,
    SyncAnswered,
    SyncAsked,
    SyncFailed,
)
from nova_node.core.membership import Membership
from nova_node.core.model import Failure, Member

MESH = "simmesh"
LIFE_BITS = 20
"""A node's load as told in a new life is newer than any of its former ones."""


class Asker(Host, Protocol):
    net: Net
    clock: Clock
    membership: Membership

    def post_member(self, signal: MemberSignal) -> None: ...


def first_words(node: str, number: int, address: str, incarnation: int) -> Member:
    """What a node says of itself when it starts."""
    newer = incarnation << LIFE_BITS
    return Member(node, f"n{number}", address, incarnation, mesh=MESH, digest_seq=newer)


def ask(node: Asker, effect: SendProbe | SendProbeVia | SendSync) -> None:
    """Ask a peer, and post its answer, or that there was none."""
    me, sent_at = node.membership.me, node.clock.now
    silent: MemberSignal
    peer = target_address = ""
    match effect:
        case SendProbe(key, peer, address, gossip, timeout_s):
            refused, silent = ProbeFailed(key, Fault.GONE), ProbeFailed(key)
        case SendProbeVia(key, _, address, peer, target_address, gossip, timeout_s):
            refused = silent = ProbeFailed(key)
        case SendSync(key, _, address, gossip, timeout_s):
            refused = silent = SyncFailed(key)

    def arrive(target: Any, reply: Callable[[Any], None]) -> None:
        match effect:
            case SendProbe():
                asked = ProbeAsked(reply, MESH, me.node, peer, gossip)
            case SendProbeVia():
                asked = ProbeViaAsked(reply, MESH, me.node, peer, gossip, target_address, timeout_s)
            case SendSync():
                asked = SyncAsked(reply, MESH, me, gossip[1:])
        target.post_member(asked)

    def done(answer: Any) -> None:
        match answer:
            case AnswerProbe(_, gossip):
                rtt_s = node.clock.now - sent_at
                node.post_member(ProbeAnswered(key, gossip, rtt_s))
            case AnswerSync(_, members):
                node.post_member(SyncAnswered(key, members))
            case Refuse(_, failure):
                node.post_member(_refused(effect, failure))
            case _:
                node.post_member(answer)

    node.net.call(node, address, timeout_s, arrive, done, refused, silent)


def _refused(ask: SendProbe | SendProbeVia | SendSync, failure: Failure) -> MemberSignal:
    if isinstance(ask, SendSync):
        return SyncFailed(ask.key, failure.code, failure.message)
    fault = Fault(failure.code) if failure.code in set(Fault) else Fault.SILENT
    return ProbeFailed(ask.key, fault)
