"""The money of a batch with a budget.

Rule: what an attempt may spend is reserved before it is sent, and what it spent is charged at its end; when
nobody knows what that was, all of it. So `spent + reserved` never exceeds the limit, and after a crash
whatever the journal knows to be out counts as spent.
"""

from __future__ import annotations

from nova_node.core.model import Outcome, Status


class Purse:
    """Of one batch, in millionths of a US dollar. A fold of its events."""

    __slots__ = ("_out", "limit_uusd", "reserved_uusd", "spent_uusd")

    def __init__(self, limit_uusd: int) -> None:
        self.limit_uusd = limit_uusd
        self.spent_uusd = 0
        self.reserved_uusd = 0
        #: by the number of a task whose attempt is out
        self._out: dict[int, int] = {}

    def fits(self, allowance_uusd: int) -> int:
        """How many more attempts of such an allowance may go out now."""
        free_uusd = self.limit_uusd - self.spent_uusd - self.reserved_uusd
        return max(0, free_uusd) // allowance_uusd

    @property
    def is_settled(self) -> bool:
        """Nothing is out that could give something back."""
        return not self._out

    def reserve(self, no: int, allowance_uusd: int) -> None:
        self._out[no] = allowance_uusd
        self.reserved_uusd += allowance_uusd

    def settle(self, outcome: Outcome) -> None:
        """An attempt ended, or (WAITING) came back unstarted; others do not count."""
        reserved_uusd = self._out.pop(outcome.no, None)
        if reserved_uusd is None:
            return
        self.reserved_uusd -= reserved_uusd
        if outcome.status is not Status.WAITING:
            told = outcome.usage.spent_uusd if outcome.usage is not None else None
            self.spent_uusd += reserved_uusd if told is None else told
