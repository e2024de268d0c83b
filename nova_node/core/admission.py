"""Who is let in, and a bounded record of who was not, for `nova-node doctor`."""

from __future__ import annotations

from typing import TypeVar

from nova_node.core.members import (
    ID_TAKEN,
    OTHER_MESH,
    SELF,
    Conflict,
    ConflictSeen,
    MemberEffect,
    Stranger,
)
from nova_node.core.model import PROTOCOL, Failure, Member

RECORDS_MAX = 64
"""Of strangers, and of conflicts; the oldest goes."""

Record = TypeVar("Record", Stranger, Conflict)


def skew(member: Member) -> str:
    """Why its work is refused here, and ours there; "" when it is not."""
    if member.protocol == PROTOCOL:
        return ""
    older = "it" if member.protocol < PROTOCOL else "this node"
    return f"speaks protocol {member.protocol}, this node {PROTOCOL}: update {older}"


class Admission:
    def __init__(self, me: Member, out: list[MemberEffect]) -> None:
        self.me = me
        self._out = out
        #: by address: refused by us, or refusing us
        self.strangers: dict[str, Stranger] = {}
        #: by node id
        self.conflicts: dict[str, Conflict] = {}

    def refusal(self, mesh: str, sender: str, address: str, now: float) -> Failure | None:
        """Why this sender gets no answer; None when it does. Notes what it refuses."""
        me = self.me
        if mesh != me.mesh:
            self.note_stranger(address, sender, f"belongs to mesh {mesh}", now)
            words = f"this node belongs to mesh {me.mesh}, not to {mesh}"
            return Failure(OTHER_MESH, words, "give both nodes the same mesh name")
        if sender != me.node:
            return None
        if address == me.address:
            return Failure(SELF, "this address leads back to the node itself")
        self.note_double(address, now)
        words = f"node id {sender} is in use at {me.address}"
        fix = "if the data directory was copied, remove the copy and start again"
        return Failure(ID_TAKEN, words, fix)

    def note_stranger(self, address: str, node: str, why: str, now: float) -> None:
        _keep(self.strangers, address, Stranger(address, node, why, now))

    def note_double(self, address: str, now: float) -> None:
        """Another process claims to be this node."""
        self.note_conflict(Conflict(self.me.node, (self.me.address, address), now))

    def note_conflict(self, conflict: Conflict) -> None:
        if conflict.node not in self.conflicts:
            self._out.append(ConflictSeen(conflict))
        _keep(self.conflicts, conflict.node, conflict)


def _keep(records: dict[str, Record], key: str, record: Record) -> None:
    if key not in records and len(records) >= RECORDS_MAX:
        del records[next(iter(records))]
    records[key] = record
