"""The fifty problems are what they say, and code.solve solves those that can be."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from support.problems import Made, ScriptedModel, problems
from support.waiting import FakeWaiting, call, run_here

from nova_node.capabilities.solve import solve
from nova_node.capability import Ask
from nova_node.models.solving import checking
from nova_node.models.solving.problem import problem_of

ATTEMPTS = 4
AT_ONCE = 2


def passes(made: Made, code: str) -> bool:
    problem = problem_of(made.description, made.examples, made.tests, "solve")
    stdin = checking.request_of(problem, code, "nonce", 10.0)
    statement = run_here(Ask("python.run", {"code": checking.program()}, {"stdin_bytes": stdin}))
    return checking.verdict_of(problem, statement, "nonce", "").passed


def test_there_are_fifty_of_all_plans() -> None:
    plans = Counter(each.plan for each in problems())
    assert len({each.name for each in problems()}) == 50
    assert plans == {"right": 31, "once": 9, "twice": 5, "never": 5}


@pytest.mark.parametrize(
    ("made", "code", "passed"),
    [(p, p.wrong, False) for p in problems() if p.plan == "right"]
    + [(p, p.right, True) for p in problems() if p.plan == "never"],
    ids=lambda value: value.name if isinstance(value, Made) else "",
)
def test_what_the_scripted_model_never_says_is_as_right_as_it_claims(
    made: Made, code: str, passed: bool
) -> None:
    assert passes(made, code) is passed


def test_all_that_can_be_solved_is_in_as_few_attempts_as_it_takes() -> None:
    model = ScriptedModel()

    def script(ask: Ask) -> str:
        messages: Any = ask.args["messages"]
        return model.answer(messages[0]["content"])

    room = asyncio.Semaphore(AT_ONCE)

    async def one(made: Made) -> dict[str, Any]:
        async with room:
            return await solve(**made.call, attempts=ATTEMPTS)

    async def every() -> list[dict[str, Any]]:
        return await asyncio.gather(*map(one, problems()))

    results = call(FakeWaiting(script), every)
    for made, result in zip(problems(), results, strict=True):
        assert result["passed"] is (made.plan != "never"), made.name
        assert result["attempts"] == min(made.wrong_before + 1, ATTEMPTS), made.name
        assert (result["ended"] == "attempts") is (made.plan == "never")
    assert sum(result["passed"] for result in results) == 45
    assert sum(result["attempts"] for result in results) == 31 + 2 * 9 + 3 * 5 + 4 * 5
    assert round(sum(result["cost_usd"] for result in results), 9) == 0.0084
