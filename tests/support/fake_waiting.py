"""The least attempt that waits, without a node: for calling such a capability in a test.

with attempt_of(FakeAttempt(answer)): await plan.function(text="x")
"""

from __future__ import annotations

from collections.abc import Callable

from nova_node.capability import Answer, Ask, Usage


def no_answer(ask: Ask) -> Answer:
    raise AssertionError(f"nobody was to be asked for {ask.capability}")


class FakeAttempt:
    """`answer` gives the Answer to an Ask, or raises AskFailed. What is said, asked and spent is kept."""

    def __init__(
        self,
        answer: Callable[[Ask], Answer] = no_answer,
        task_id: str = "k7q2m9xd-1",
        submitter: str = "",
        allowance_uusd: int = 0,
    ) -> None:
        self.task_id, self.submitter, self.allowance_uusd = task_id, submitter, allowance_uusd
        self.sensitive = False
        self._answer = answer
        self.said: list[str] = []
        self.asked: list[Ask] = []
        self.used = Usage()

    def say(self, text: str) -> None:
        self.said.append(text)

    def spend(self, used: Usage) -> None:
        self.used = self.used.plus(used)

    async def ask(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        return self._answer(ask)
