"""What is worth telling, and how often it was told.

Holds node ids only: what is told of a node is its record at the time of telling. News (a state, an
address, a card) is pushed and told O(log N) times; a changed load rides along in the room left.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Set
from dataclasses import dataclass

from nova_node.core.members import MembershipConfig
from nova_node.core.model import Digest, Member, MemberState
from nova_node.core.roster import Roster

DIGEST_REPEATS = 2


def matters(old: Digest, new: Digest) -> bool:
    """News: peers act on it at once. They fetch the card, or send no more work."""
    return old.card_version != new.card_version or old.draining != new.draining


@dataclass(slots=True)
class Rumour:
    news: bool
    no: int
    told: int = 0


class Gossip:
    """At most one rumour for each node, so bounded by the members."""

    def __init__(self, config: MembershipConfig, roster: Roster) -> None:
        self._config = config
        self._roster = roster
        self._rumours: dict[str, Rumour] = {}
        self._news = 0
        self._no = 0

    @property
    def has_news(self) -> bool:
        return self._news > 0

    def add(self, node: str, news: bool) -> None:
        """Tell of this node (again, from the start). News stays news until it was told enough."""
        old = self._rumours.get(node)
        if old is not None and old.news and not news:
            return
        self.drop(node)
        self._no += 1
        self._rumours[node] = Rumour(news, self._no)
        self._news += news

    def drop(self, node: str) -> None:
        rumour = self._rumours.pop(node, None)
        if rumour is not None:
            self._news -= rumour.news

    def clear(self) -> None:
        """Nobody is there to be told."""
        self._rumours.clear()
        self._news = 0

    def words(
        self, me: Member, listener: str, subject: str, told: tuple[Member, ...]
    ) -> tuple[Member, ...]:
        """What to tell `listener` now: the record of this node; that of the listener, if it may
        want to refute it; that of `subject` ("": none); then rumours, but not what it `told`."""
        words = [me]
        seen = self._roster.peers.get(listener)
        if seen is not None and (seen.outdated or seen.member.state is not MemberState.ALIVE):
            words.append(seen.member)
        if subject and (about := self._roster.member(subject)):
            words.append(about)
        skip = {m.node for m in told if _same(self._roster.member(m.node), m)}
        for node in self._pick(self._config.max_gossip - len(words), skip):
            member = self._roster.member(node)
            if member is not None and node not in (listener, subject):
                words.append(member)
        return tuple(words)

    def _pick(self, room: int, skip: Set[str]) -> list[str]:
        """Nodes to tell of now, the least told first, news before load, none of `skip`."""
        size = len(self._roster.ring)
        limit = self._config.gossip_repeats * math.ceil(math.log10(size + 1))
        fresh = (item for item in self._rumours.items() if item[0] not in skip)
        best = heapq.nsmallest(room, fresh, key=_order)
        picked: list[str] = []
        digests = 0
        for node, rumour in best:
            if not rumour.news:
                if digests == self._config.max_digests:
                    break
                digests += 1
            picked.append(node)
            rumour.told += 1
            if rumour.told >= (limit if rumour.news else DIGEST_REPEATS):
                self.drop(node)
        return picked


def _order(item: tuple[str, Rumour]) -> tuple[bool, int, int]:
    rumour = item[1]
    return (not rumour.news, rumour.told, -rumour.no)


def _same(ours: Member | None, theirs: Member) -> bool:
    """The same news; their digests may differ."""
    return ours is not None and (ours.incarnation, ours.state) == (
        theirs.incarnation,
        theirs.state,
    )
