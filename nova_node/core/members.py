"""What membership is set to, what it is told, and what it asks for.

Signals are what reached this node, effects what the network adapter is to do. Each effect with a
`key` is answered by one signal with that key; each signal with a `token` is answered by one effect
with that token. In every `gossip` and in every table of a sync, the first member is the speaker.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from nova_node.core.model import Failure, Member
from nova_node.core.signals import (
    PeerSeen,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipConfig:
    """The defaults keep two promises at once: a host that falls silent is dead to its peers within
    6 s (N <= 10), and a node that is only stuck for 5 s is not. From falling silent to death it
    takes at most probe_s + hedge_s + probe_timeout_s + suspicion_s + last_word_s; from getting
    stuck, even when the probe before was lost, at least the last three (but 0.8 of the first of
    them, see `probing`)."""

    #: between two probes that a node sends, and on average between two that it gets
    probe_s: float = 0.4
    #: silence after which others are asked to probe too
    hedge_s: float = 0.25
    #: for them to do so; the direct probe may be answered meanwhile
    probe_timeout_s: float = 0.5
    #: peers asked to probe in our place
    indirect: int = 3
    #: from suspected to dead, confirmed; times log10 N when nobody confirms
    suspicion_s: float = 4.0
    #: the same when the host answers that nothing listens there
    crash_s: float = 0.5
    #: for one more round of probes, all at once, before a suspect is called dead
    last_word_s: float = 0.65
    #: between two pushes of news
    gossip_s: float = 0.2
    #: peers that one push goes to
    gossip_fanout: int = 3
    #: news is told this many times ceil(log10(N + 1))
    gossip_repeats: int = 6
    #: members in one message, the speaker included
    max_gossip: int = 32
    #: of them, those told only because their load changed
    max_digests: int = 6
    #: between two exchanges of whole tables, give or take (0.75 to 1.5 times)
    sync_s: float = 20.0
    sync_timeout_s: float = 5.0
    #: between two tries to reach one of the dead
    reconnect_s: float = 4.0
    #: how long the dead and the departed are remembered
    tombstone_s: float = 3600.0
    #: wait after a failed introduction, doubled each time
    retry_s: float = 1.0
    retry_max_s: float = 30.0
    #: failures after which an introduction that is not pinned is forgotten
    max_retries: int = 6
    max_introductions: int = 256
    max_members: int = 2000
    #: how far hearsay may raise an incarnation at once
    max_jump: int = 1000
    #: how far above its own a node refutes: what it may have forgotten since a former life; a lie
    #: from further off would use up the numbers there are
    max_own_jump: int = 2**20
    max_relays: int = 64


LAN = MembershipConfig()


class Fault(StrEnum):
    """Why a probe failed; also the code of the Failure that a node answers one with."""

    #: nothing came back from the node that was asked
    SILENT = "silent"
    #: nothing listens at the address (connection refused), or another node does
    GONE = "gone"
    #: the peer that was to probe for us got no answer
    UNREACHED = "unreached"


OTHER_MESH = "other_mesh"
ID_TAKEN = "id_taken"
SELF = "self"


class Stranger(NamedTuple):
    """A node that we refused or that refused us; kept for `nova-node doctor`."""

    address: str
    node: str
    why: str
    #: when last met
    at: float


class Conflict(NamedTuple):
    """Two processes that claim one node id, most often a copied data directory."""

    node: str
    addresses: tuple[str, str]
    at: float


# ---------------------------------------------------------------- signals


@dataclass(frozen=True, slots=True)
class Introduced:
    """Somebody may be at this address. Pinned (given by a person, or remembered): tried for ever.
    `mesh` is the one it advertises, if it does."""

    address: str
    pinned: bool = False
    mesh: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """This node is reached at another address from now on."""

    address: str


@dataclass(frozen=True, slots=True)
class ProbeAsked:
    """Answered by AnswerProbe or Refuse. `sender` and `target` are node ids."""

    token: Any
    mesh: str
    sender: str
    target: str
    gossip: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class ProbeViaAsked:
    """`sender` asks us to probe `target` for it. Answered by AnswerProbe or Refuse."""

    token: Any
    mesh: str
    sender: str
    target: str
    gossip: tuple[Member, ...]
    address: str
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ProbeAnswered:
    """Answers SendProbe and SendProbeVia."""

    key: int
    gossip: tuple[Member, ...]
    rtt_s: float


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """Answers SendProbe and SendProbeVia. GONE or UNREACHED from a relay are its own words; when
    the relay itself cannot be reached, the fault is SILENT."""

    key: int
    fault: Fault = Fault.SILENT


@dataclass(frozen=True, slots=True)
class SyncAsked:
    """Answered by AnswerSync or Refuse."""

    token: Any
    mesh: str
    sender: Member
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class SyncAnswered:
    key: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class SyncFailed:
    """`code` and `why` are those of the Failure that the other side answered with, if it did."""

    key: int
    code: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class StreamBroken:
    """A work stream to or from this node ended without a goodbye."""

    node: str


@dataclass(frozen=True, slots=True)
class LagMeasured:
    """How late this node's own event loop runs."""

    lag_s: float


@dataclass(frozen=True, slots=True)
class MemberTick:
    """Time has passed; sent when `wake_at` is reached."""


MemberSignal = (
    Introduced
    | Moved
    | ProbeAsked
    | ProbeViaAsked
    | ProbeAnswered
    | ProbeFailed
    | SyncAsked
    | SyncAnswered
    | SyncFailed
    | StreamBroken
    | LagMeasured
    | MemberTick
)


# ---------------------------------------------------------------- effects


class SendProbe(NamedTuple):
    """Answered by ProbeAnswered or ProbeFailed."""

    key: int
    node: str
    address: str
    gossip: tuple[Member, ...]
    timeout_s: float


class SendProbeVia(NamedTuple):
    """Ask `via_node` to probe `target`. Answered by ProbeAnswered or ProbeFailed."""

    key: int
    via_node: str
    via_address: str
    target: str
    target_address: str
    gossip: tuple[Member, ...]
    timeout_s: float


class SendSync(NamedTuple):
    """Answered by SyncAnswered or SyncFailed. `node` is "" when only the address is known."""

    key: int
    node: str
    address: str
    members: tuple[Member, ...]
    timeout_s: float


class AnswerProbe(NamedTuple):
    token: Any
    gossip: tuple[Member, ...]


class AnswerSync(NamedTuple):
    token: Any
    members: tuple[Member, ...]


class Refuse(NamedTuple):
    """Answer a probe or a sync with a failure; its code is a Fault, OTHER_MESH, ID_TAKEN or SELF."""

    token: Any
    failure: Failure


class ConflictSeen(NamedTuple):
    """Sent once for each conflict."""

    conflict: Conflict


MemberEffect = (
    SendProbe
    | SendProbeVia
    | SendSync
    | AnswerProbe
    | AnswerSync
    | Refuse
    | ConflictSeen
    | PeerSeen
)
