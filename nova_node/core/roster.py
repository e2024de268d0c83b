"""What this node holds of the others, and which of two records of a node counts.

The rule: a higher incarnation wins, then the worse state, then the newer digest. Two exceptions.
Hearsay cannot kill or revive at once: dead becomes suspect, and a claim that a dead node lives is
checked with the node itself. And hearsay cannot raise an incarnation without bound, only the node
itself can.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from enum import Enum, auto

from nova_node.core.members import Conflict, MembershipConfig
from nova_node.core.model import Member, MemberState

HERE = (MemberState.ALIVE, MemberState.SUSPECT)
INCARNATION_MAX = 2**53
TEXT_MAX = 255
CONFLICT_S = 3.0
"""An address that changes and changes back within this time is two processes; a node whose machine goes
from network to network takes longer (see `whereabouts`)."""


class Verdict(Enum):
    #: nothing new, or not worth a record
    IGNORE = auto()
    #: state, incarnation or address changed, or the node is new
    ADOPT = auto()
    #: only the digest is newer
    REFRESH = auto()
    #: a dead node is said to live: ask it
    CHECK = auto()
    #: the speaker does not know what is said of it: tell it, so that it can refute
    TELL = auto()
    #: not believable, or there is no room
    REJECT = auto()


@dataclass(slots=True)
class Seen:
    """A peer and what this node noticed of it. Read-only outside of membership."""

    member: Member
    #: last sign of life, its own or a newer record of it alive; this node's clock
    heard_at: float
    #: last change of state; this node's clock
    changed_at: float
    rtt_s: float | None = None
    #: the address before the last move, and when it moved
    moved_from: str = ""
    moved_at: float = 0.0
    #: when a claim that it lives was last checked
    checked_at: float = float("-inf")
    #: it speaks with an incarnation older than ours of it
    outdated: bool = False


def judge(known: Member, heard: Member, first_hand: bool, max_jump: int) -> Verdict:
    """Which record of one node counts; `first_hand` when the node speaks of itself."""
    if heard.incarnation > known.incarnation:
        if first_hand:
            return Verdict.ADOPT
        if heard.incarnation - known.incarnation > max_jump:
            return Verdict.REJECT
        if known.state not in HERE and heard.state in HERE:
            return Verdict.CHECK
        return Verdict.ADOPT
    if heard.incarnation < known.incarnation:
        return Verdict.TELL if first_hand else Verdict.IGNORE
    if heard.state > known.state:
        return Verdict.ADOPT
    if first_hand and (heard.state < known.state or heard.address != known.address):
        return Verdict.TELL
    if heard.digest_seq > known.digest_seq and known.state in HERE:
        return Verdict.REFRESH
    return Verdict.IGNORE


def _alive_after_all(known: Member, heard: Member) -> bool:
    """We buried it, and the other side of a healed partition did not."""
    return (
        known.state is MemberState.DEAD
        and heard.state is MemberState.ALIVE
        and heard.incarnation == known.incarnation
    )


def sound(member: Member) -> bool:
    """Fit to be kept and shown: bounded printable text, a believable incarnation."""
    texts = (member.node, member.name, member.address, member.version)
    return (
        bool(member.node and member.address)
        and 0 <= member.incarnation < INCARNATION_MAX
        and all(len(text) <= TEXT_MAX and text.isprintable() for text in texts)
    )


class Roster:
    """All peers by id, this node excluded. Bounded by `max_members`, tombstones included."""

    def __init__(self, me: str, config: MembershipConfig) -> None:
        self._config = config
        self.peers: dict[str, Seen] = {}
        #: ids of the nodes that are here, this one included, sorted
        self.ring: list[str] = [me]
        #: in the order of their deaths
        self.dead: dict[str, None] = {}
        self._gone: dict[str, None] = {}
        #: found since the caller last emptied the list
        self.conflicts: list[Conflict] = []

    def member(self, node: str) -> Member | None:
        seen = self.peers.get(node)
        return seen.member if seen else None

    def is_here(self, node: str) -> bool:
        seen = self.peers.get(node)
        return seen is not None and seen.member.state in HERE

    def touch(self, node: str, now: float, rtt_s: float) -> None:
        """It answered in person."""
        seen = self.peers.get(node)
        if seen is not None:
            seen.heard_at, seen.rtt_s = now, rtt_s

    def alive(self) -> list[Member]:
        return [s.member for s in self.peers.values() if s.member.state is MemberState.ALIVE]

    def at(self, address: str) -> str:
        """The node that is here at this address, or ""."""
        for seen in self.peers.values():
            if seen.member.address == address and seen.member.state in HERE:
                return seen.member.node
        return ""

    def hear(self, heard: Member, now: float, first_hand: bool, by_sync: bool) -> Verdict:
        """Weigh a record and keep it if it counts."""
        seen = self.peers.get(heard.node)
        if seen is None:
            return self._meet(heard, now)
        if first_hand:
            seen.heard_at = now
        known = seen.member
        buried = not first_hand and heard.state is MemberState.DEAD and known.state in HERE
        if buried and (by_sync or known.state is MemberState.ALIVE):
            heard = heard._replace(state=MemberState.SUSPECT)
        verdict = judge(known, heard, first_hand, self._config.max_jump)
        if by_sync and verdict is Verdict.IGNORE and _alive_after_all(known, heard):
            verdict = Verdict.CHECK
        seen.outdated = verdict is Verdict.TELL or (seen.outdated and not first_hand)
        if verdict is Verdict.ADOPT:
            if not sound(heard):
                return Verdict.REJECT
            if heard.incarnation == known.incarnation and heard.digest_seq < known.digest_seq:
                heard = heard._replace(digest=known.digest, digest_seq=known.digest_seq)
            self._put(seen, heard, now)
        elif verdict is Verdict.REFRESH:
            seen.member = known._replace(digest=heard.digest, digest_seq=heard.digest_seq)
            seen.heard_at = now
        elif verdict is Verdict.CHECK:
            if now - seen.checked_at < 1.0 or not sound(heard):
                return Verdict.IGNORE
            seen.checked_at = now
        return verdict

    def set_state(self, node: str, state: MemberState, now: float) -> Member:
        seen = self.peers[node]
        self._put(seen, seen.member._replace(state=state), now)
        return seen.member

    def expire(self, now: float) -> list[str]:
        """Forget tombstones that are old enough."""
        old = [n for n in self._gone if now - self.peers[n].changed_at >= self._config.tombstone_s]
        for node in old:
            self._forget(node)
        return old

    def _meet(self, heard: Member, now: float) -> Verdict:
        if heard.state not in HERE:
            return Verdict.IGNORE
        if not sound(heard):
            return Verdict.REJECT
        if len(self.peers) >= self._config.max_members and not self._make_room():
            return Verdict.REJECT
        self.peers[heard.node] = Seen(heard, heard_at=now, changed_at=now)
        bisect.insort(self.ring, heard.node)
        return Verdict.ADOPT

    def _make_room(self) -> bool:
        if not self._gone:
            return False
        self._forget(min(self._gone, key=lambda node: self.peers[node].changed_at))
        return True

    def _put(self, seen: Seen, member: Member, now: float) -> None:
        old, seen.member = seen.member, member
        if member.state is MemberState.ALIVE:
            seen.heard_at = now
        if member.address != old.address:
            self._move(seen, old.address, now)
        if member.state is old.state:
            return
        seen.changed_at = now
        was_here, is_here = old.state in HERE, member.state in HERE
        if is_here and not was_here:
            bisect.insort(self.ring, member.node)
            del self._gone[member.node]
        elif was_here and not is_here:
            del self.ring[bisect.bisect_left(self.ring, member.node)]
            self._gone[member.node] = None
        if member.state is MemberState.DEAD:
            self.dead[member.node] = None
        else:
            self.dead.pop(member.node, None)

    def _move(self, seen: Seen, old_address: str, now: float) -> None:
        address = seen.member.address
        if seen.moved_from == address and now - seen.moved_at < CONFLICT_S:
            self.conflicts.append(Conflict(seen.member.node, (old_address, address), now))
        seen.moved_from, seen.moved_at = old_address, now

    def _forget(self, node: str) -> None:
        del self.peers[node], self._gone[node]
        self.dead.pop(node, None)
