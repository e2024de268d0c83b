"""How long a suspect has to speak up before it is called dead.

The more peers found it silent too, the shorter (Lifeguard); shortest when its host says that
nothing listens there. At the end it gets a last word: it is probed once more, by several at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from nova_node.core.members import MembershipConfig


def patience_s(config: MembershipConfig, count: int, confirmed: int) -> float:
    """For a suspect in a mesh of `count` nodes that `confirmed` peers found silent too."""
    shortest = config.suspicion_s
    longest = shortest * max(1.0, math.log10(max(1, count)))
    wanted = min(config.indirect, count - 2)
    if wanted < 1:
        return shortest
    share = math.log(min(confirmed, wanted) + 1) / math.log(wanted + 1)
    return longest - (longest - shortest) * share


@dataclass(slots=True)
class Suspicion:
    incarnation: int
    since: float
    #: when the suspect gets its last word, or is called dead if it had it
    until: float
    last_word: bool = False


class Verdicts(NamedTuple):
    #: nodes to probe once more
    ask: list[str]
    #: nodes to call dead
    bury: list[str]


class Suspicions:
    """One for each suspect."""

    def __init__(self, config: MembershipConfig) -> None:
        self._config = config
        self._held: dict[str, Suspicion] = {}

    def __len__(self) -> int:
        return len(self._held)

    @property
    def next_at(self) -> float:
        return min((s.until for s in self._held.values()), default=math.inf)

    def begin(self, node: str, incarnation: int, count: int, now: float) -> None:
        """Starts anew only when the suspect refuted since."""
        held = self._held.get(node)
        if held is None or held.incarnation < incarnation:
            until = now + patience_s(self._config, count, 0)
            self._held[node] = Suspicion(incarnation, now, until)

    def end(self, node: str) -> None:
        self._held.pop(node, None)

    def confirm(self, node: str, confirmed: int, gone: bool, count: int) -> bool:
        """Weigh one more silence of a suspect; it never gives more time. True: call it dead now."""
        held = self._held[node]
        if held.last_word:
            return gone
        patience = self._config.crash_s if gone else patience_s(self._config, count, confirmed)
        held.until = min(held.until, held.since + patience)
        return False

    def due(self, now: float) -> Verdicts:
        verdicts = Verdicts([], [])
        for node, held in self._held.items():
            if now < held.until:
                continue
            if held.last_word:
                verdicts.bury.append(node)
            else:
                held.last_word = True
                held.until = now + self._config.last_word_s
                verdicts.ask.append(node)
        return verdicts

    def postpone(self, delay_s: float) -> None:
        """The judge slept, and the suspects may have spoken meanwhile."""
        for held in self._held.values():
            held.until += delay_s
            held.last_word = False
