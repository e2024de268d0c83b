"""How long a suspect has to speak up before it is called dead.

The more peers found it silent too, the shorter (Lifeguard); shortest when its host says that
nothing listens there. It is asked once more at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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
    #: when the suspect is asked once more, or called dead if it was
    until: float
    confirmed: int = 0
    #: it is being asked once more
    last_word: bool = False

    def shorten(self, patience: float, confirmed: int) -> None:
        """New evidence never gives the suspect more time."""
        self.confirmed = max(self.confirmed, confirmed)
        if not self.last_word:
            self.until = min(self.until, self.since + patience)

    def postpone(self, delay_s: float) -> None:
        """The judge slept: the suspect may have spoken meanwhile."""
        self.until += delay_s
        self.last_word = False
