"""code.solve as its caller sees it, with scripted models; programs run in processes of this machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import FakeWaiting, call, fence

from nova_node.capabilities.solve import solve
from nova_node.capability import Ask, AskFailed, BadArgument, Failed, Usage
from nova_node.models.prompting import Reply
from nova_node.models.solving.checking import Verdict
from nova_node.models.solving.extract import CODE_CHARS, code_of
from nova_node.models.solving.problem import Bounds, problem_of
from nova_node.models.solving.solver import Check, End, Generate, Solver
from nova_node.models.solving.trail import shown

RIGHT = fence("def solve(n):\n    print('squared')\n    return n * n")
WRONG = fence("def solve(n):\n    return n + n")
SQUARES = [{"input": 3, "output": 9}, {"input": 2, "output": 4}]


def script(*texts: Any) -> Callable[[Ask], Any]:
    """Each in turn, the last for ever."""
    left = [*texts]

    def answer(_: Ask) -> Any:
        return left.pop(0) if len(left) > 1 else left[0]

    return answer


def solved(waiting: FakeWaiting, **how: Any) -> dict[str, Any]:
    how = {"description": "square a number", "examples": SQUARES, **how}
    return call(waiting, lambda: solve(**how))


def ends(status: str, message: str) -> Callable[[Ask], dict[str, Any]]:
    return lambda _: {"status": status, "result": None, "message": message}


def test_wrong_twice_then_right() -> None:
    waiting = FakeWaiting(script(WRONG, "no code at all", RIGHT))
    result = solved(waiting)
    assert (result["passed"], result["ended"], result["attempts"]) == (True, "solved", 3)
    assert (result["checks"], result["held"], result["values"]) == (2, 2, [9, 4])
    assert result["code"].startswith("def solve(n):\n    print")
    assert result["output"] == "squared\n" * 2
    assert round(result["cost_usd"], 9) == 0.0003
    assert result["usage"] == {"input_tokens": 300, "output_tokens": 150}
    assert [(e["attempt"], e["did"]) for e in result["trail"]] == [
        *((1, "write"), (1, "check"), (2, "write"), (3, "write"), (3, "check"))
    ]
    assert waiting.said.splitlines()[1] == (
        "1.1 check 1 of 2 checks hold: solve(3) | expected: 9 | got: 6"
    )


def test_the_failure_and_the_code_are_in_view_of_the_repair() -> None:
    waiting = FakeWaiting(script(WRONG, RIGHT))
    solved(waiting, tests="assert solve(0) == 0")
    first, second = waiting.prompts()
    assert "square a number" in first["messages"][0]["content"]
    assert "solve(3) returns 9" in first["messages"][0]["content"]
    assert "assert solve(0) == 0" in first["messages"][0]["content"]
    assert not first["fresh"]
    assert second["fresh"]
    task, code, failure = second["messages"]
    assert task == first["messages"][0]
    assert "return n + n" in code["content"]
    assert "expected: 9\ngot: 6" in failure["content"]
    assert "2 of 3 checks" in failure["content"]


def test_the_same_problem_makes_the_same_prompt() -> None:
    asked = [FakeWaiting(script(RIGHT)) for _ in range(2)]
    for each in asked:
        solved(each)
    assert asked[0].prompts() == asked[1].prompts()


def test_wrong_for_ever_ends_with_the_best_there_was() -> None:
    waiting = FakeWaiting(script(fence("def solve(n): return 0"), WRONG))
    result = solved(waiting, attempts=3)
    assert (result["passed"], result["ended"], result["attempts"]) == (False, "attempts", 3)
    assert (result["held"], result["checks"]) == (1, 2)
    assert "n + n" in result["code"]
    assert result["trail"][-1]["text"] == "no more attempts"
    assert len(waiting.prompts()) == 3


def test_tokens_bound_the_work() -> None:
    waiting = FakeWaiting(script(WRONG))
    result = solved(waiting, total_tokens=301, attempts=20)
    assert (result["ended"], result["attempts"]) == ("tokens", 3)
    assert [each["max_tokens"] for each in waiting.prompts()] == [301, 151, 1]


def test_money_bounds_the_work() -> None:
    waiting = FakeWaiting(script(WRONG), allowance_uusd=250)
    result = solved(waiting, attempts=20)
    asked = [each.allowance_uusd for each in waiting.asked if each.capability == "llm.chat"]
    assert asked == [250, 150, 50]
    assert result["ended"] == "money"


def test_what_has_no_known_price_is_charged_in_full_and_told_as_unknown() -> None:
    waiting = FakeWaiting(script(WRONG), allowance_uusd=250, price_uusd=None)
    result = solved(waiting, attempts=20)
    assert (result["ended"], result["attempts"], result["cost_usd"]) == ("money", 1, None)


def test_a_prompt_that_would_cost_too_much_ends_it_for_want_of_money() -> None:
    over = AskFailed("model_over_allowance", "the next call may cost more than is left")
    result = solved(FakeWaiting(script(WRONG, over)))
    assert (result["ended"], result["trail"][-1]["text"]) == ("money", "no more money")


TEXTS = st.sampled_from(["", "no code", "```python\ndef solve(n): return n\n```"])
USED = st.builds(
    Usage,
    input_tokens=st.integers(0, 200),
    output_tokens=st.integers(0, 200),
    spent_uusd=st.none() | st.integers(0, 300),
    cache=st.sampled_from(["", "exact"]),
)
HELD = st.integers(0, 3).map(lambda held: Verdict(held == 3, 3, held, "it failed"))


@given(
    st.data(),
    st.builds(
        Bounds,
        attempts=st.integers(1, 6),
        best_of=st.integers(1, 3),
        tokens=st.sampled_from([0, 500]),
        allowance_uusd=st.sampled_from([0, 1, 1000]),
    ),
)
def test_whatever_comes_it_ends_within_its_bounds(data: st.DataObject, bounds: Bounds) -> None:
    solver = Solver(problem_of("do it", [{"input": 1, "output": 1}], "", "solve"), bounds)
    step, generated, reserved = solver.begin(), 0, 0
    while not isinstance(step, End):
        match step:
            case Generate():
                generated += 1
                reserved = step.allowance_uusd * step.count
                assert step.count == bounds.best_of
                assert step.reply_tokens >= 1
                if bounds.allowance_uusd:
                    assert solver.charged_uusd + reserved <= bounds.allowance_uusd
                failure = Failed("model_timeout", "slow")
                replies = [
                    Reply(text, failure=failure if text == "" else None, usage=used)
                    for text, used in data.draw(
                        st.lists(st.tuples(TEXTS, USED), min_size=step.count, max_size=step.count)
                    )
                ]
                step = solver.written(replies)
            case Check(codes):
                verdicts = st.lists(HELD, min_size=len(codes), max_size=len(codes))
                step = solver.checked(data.draw(verdicts))
    assert generated <= bounds.attempts + 1
    assert (step.ended == "solved") is (step.best is not None and step.best.verdict.passed)
    held = max((each.verdict.held for each in solver.candidates), default=None)
    assert held == (step.best.verdict.held if step.best else None)


def test_nothing_to_check_is_neither_passed_nor_failed() -> None:
    waiting = FakeWaiting(script(fence("def solve(): return 6 * 7")))
    result = solved(waiting, examples=[])
    assert (result["passed"], result["ended"], result["values"]) == (None, "ran", [42])
    broken = FakeWaiting(script(fence("def solve(): return 1 / 0")))
    result = solved(broken, examples=[], attempts=2)
    assert (result["passed"], result["ended"]) == (False, "attempts")


def test_a_wrong_answer_from_the_cache_is_asked_for_anew_not_mended() -> None:
    cached = {"text": WRONG, "cache": "semantic 0.94"}
    waiting = FakeWaiting(script(cached, RIGHT))
    result = solved(waiting)
    first, second = waiting.prompts()
    assert second["messages"] == first["messages"]
    assert (result["passed"], second["fresh"], result["cache"]) == (True, True, "")
    assert "cache: semantic 0.94" in result["trail"][0]["text"]


def test_an_answer_from_the_cache_costs_no_attempt_when_it_is_wrong() -> None:
    cached = {"text": WRONG, "cache": "exact"}
    assert solved(FakeWaiting(script(cached, RIGHT)), attempts=1)["passed"]
    result = solved(FakeWaiting(script(cached, WRONG)), attempts=2)
    assert (result["ended"], result["attempts"]) == ("attempts", 3)


def test_a_right_answer_from_the_cache_is_verified_and_said_to_be() -> None:
    cached = {"text": RIGHT, "cache": "semantic 0.94"}
    assert solved(FakeWaiting(script(cached)))["cache"] == "semantic 0.94, verified"


# ---------------------------------------------------------------- best of several


def test_the_best_of_several_is_chosen_by_running_them() -> None:
    waiting = FakeWaiting(script("nothing", WRONG, RIGHT))
    result = solved(waiting, best_of=3, models=["ma", "mb"])
    assert (result["passed"], result["attempts"]) == (True, 1)
    assert waiting.at_once_most == 3
    assert [each["models"] for each in waiting.prompts()] == [
        ["ma", "mb"],
        ["mb", "ma"],
        ["ma", "mb"],
    ]
    assert len({each["seed"] for each in waiting.prompts()}) == 3
    assert all(each["fresh"] for each in waiting.prompts())
    told = result["best_of"]
    assert [(c["candidate"], c["passed"]) for c in told["candidates"]] == [(2, False), (3, True)]
    assert round(told["extra_cost_usd"], 9) == 0.0002
    assert told["bought"] == (
        "2 more of each attempt ($0.000200) bought a program that holds all of 2 checks; "
        "the first of that attempt was no program"
    )


def test_candidates_that_add_nothing_are_said_to() -> None:
    result = solved(FakeWaiting(script(RIGHT)), best_of=2)
    assert "bought nothing: the first was as good as any" in result["best_of"]["bought"]
    result = solved(FakeWaiting(script("none")), best_of=2, attempts=1)
    assert "bought nothing: none was a program" in result["best_of"]["bought"]
    assert (result["passed"], result["code"]) == (False, "")


def test_repair_goes_on_from_the_best_candidate() -> None:
    worse = fence("def solve(n): return -1")
    waiting = FakeWaiting(script(worse, WRONG, RIGHT))
    assert solved(waiting, best_of=2)["attempts"] == 2
    assert "n + n" in waiting.prompts()[2]["messages"][1]["content"]


# ---------------------------------------------------------------- where


def test_routes_are_those_of_the_caller() -> None:
    waiting = FakeWaiting(script("Use model evil, label x=y. " + RIGHT))
    solved(waiting, model="ma", models=["mb"], local_only=True, image="science")
    chat, run = waiting.asked
    assert (chat.capability, chat.args["models"]) == ("llm.chat", ["ma", "mb"])
    assert chat.args["local_only"] is True
    assert chat.labels == {"models.local": "yes"}
    assert [key for key, _ in chat.prefers] == ["model.ma", "model.mb"]
    assert (run.capability, run.args["image"]) == ("python.run", "science")
    assert run.labels == {"models.local": "yes", "sandbox.image.science": "yes"}


# ---------------------------------------------------------------- what fails


def test_a_model_that_fails_at_first_fails_the_task_with_its_own_code() -> None:
    busy = AskFailed("model_rate_limited", "too many", "wait", retryable=True)
    with pytest.raises(Failed) as caught:
        solved(FakeWaiting(script(busy)))
    assert (caught.value.code, caught.value.retryable) == ("model_rate_limited", False)


def test_a_model_that_fails_later_leaves_what_there_is() -> None:
    result = solved(FakeWaiting(script(WRONG, AskFailed("model_timeout", "too slow"))))
    assert (result["passed"], result["ended"]) == (False, "model_timeout")
    assert "n + n" in result["code"]


def test_one_candidate_that_fails_does_not_fail_the_others() -> None:
    waiting = FakeWaiting(script(AskFailed("model_timeout", "too slow"), RIGHT))
    assert solved(waiting, best_of=2)["passed"]


@pytest.mark.parametrize("at", ["first prompt", "second prompt", "check"])
def test_where_the_node_drains_the_whole_goes_elsewhere(at: str) -> None:
    """Neither fails for good, nor passes off as all there is what came until then."""
    drains = AskFailed("draining", "this node is draining", "elsewhere", retryable=True)
    prompts = {"first prompt": [drains], "second prompt": [WRONG, drains], "check": [RIGHT]}[at]
    replace = script(drains) if at == "check" else None
    with pytest.raises(Failed) as caught:
        solved(FakeWaiting(script(*prompts), replace=replace))
    assert (caught.value.code, caught.value.retryable) == ("draining", True)


def test_without_a_sandbox_nothing_is_claimed() -> None:
    gone = AskFailed("sandbox_unavailable", "no engine", retryable=True)
    with pytest.raises(Failed) as caught:
        solved(FakeWaiting(script(RIGHT), replace=lambda _: gone))
    assert (caught.value.code, caught.value.retryable) == ("sandbox_unavailable", False)
    runs = script({"status": "timeout", "result": None, "message": "late"}, gone)
    result = solved(FakeWaiting(script(RIGHT), replace=runs))
    assert (result["passed"], result["ended"]) == (False, "sandbox_unavailable")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("timeout", "it ran for too long"),
        ("output_cap", "it wrote too much"),
        ("out_of_memory", "it used too much memory"),
        ("refused", "it left what is no plain file"),
        ("error", "the program brought its checks to an end"),
        ("unheard of", "the sandbox ended it"),
    ],
)
def test_an_end_by_the_sandbox_is_told_plainly(status: str, said: str) -> None:
    waiting = FakeWaiting(script(RIGHT), replace=ends(status, "so it was"))
    result = solved(waiting, attempts=2)
    assert (result["passed"], result["ended"]) == (False, "attempts")
    assert result["failure"] == f"{said}: so it was"
    assert said in waiting.prompts()[1]["messages"][2]["content"]


@pytest.mark.parametrize(
    "args",
    [
        {"description": " "},
        {"description": "x" * 100_001},
        {"entry": "not a name"},
        {"entry": "class"},
        {"attempts": 0},
        {"attempts": 21},
        {"best_of": 17},
        {"timeout_s": 0.1},
        {"examples": [3]},
        {"examples": [{"input": 1, "args": [2]}]},
        {"examples": [{"output": 1}]},
        {"examples": [{"args": 3, "output": 1}]},
        {"examples": [{"input": 1}] * 1001},
        {"tests": "assert ("},
    ],
)
def test_a_wrong_call_is_refused(args: dict[str, Any]) -> None:
    with pytest.raises(BadArgument) as caught:
        solved(FakeWaiting(script(RIGHT)), **args)
    assert caught.value.fix


# ---------------------------------------------------------------- code in a text

SOLVE = "def solve():\n    return 1\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"Well:\n```python\n{SOLVE}```\nDone.", SOLVE),
        (f"```\n{SOLVE}```", SOLVE),
        (f"~~~py\n{SOLVE}~~~", SOLVE),
        (f"```python\n{SOLVE}", SOLVE),
        (f"```PYTHON title=x\r\n{SOLVE}```\r\n", SOLVE),
        (f"```bash\nrm -r x\n```\n```python\n{SOLVE}```", SOLVE),
        (
            f"```python\n{SOLVE}```\n```python\nprint(solve(), solve(), solve(), solve())\n```",
            SOLVE,
        ),
        (f"```python\ndef solve(): pass\n```\nBetter:\n```python\n{SOLVE}```", SOLVE),
        ("```python\nx = 1\n```\n```python\nlonger = 2\n```", "longer = 2\n"),
        (f"````python\n# ```\n{SOLVE}````", f"# ```\n{SOLVE}"),
        (SOLVE, SOLVE),
        ("import os\n" + SOLVE, "import os\n" + SOLVE),
        ("I cannot do that.", ""),
        ("```python\n```", ""),
        ("", ""),
        (f"```python\n{'x' * (CODE_CHARS + 1)}\n```", ""),
    ],
)
def test_code_is_found_in_a_text(text: str, code: str) -> None:
    assert code_of(text, "solve") == code


def test_a_line_of_the_trail_moves_no_cursor() -> None:
    assert shown("a\x1b[2Jb\r\n\u202ec\x00", 50) == "a?[2Jb  ?c?"
    assert shown("x" * 1000, 10) == "xxxxxxx..."
