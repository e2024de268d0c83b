"""What `nova run`, `nova models`, `nova costs` and `nova stats` make of models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import click
import pytest
from nova_client import NotFound, Refused
from nova_client.costs import Cost, Costs, Saving, costs, saving
from nova_client.metrics import Metrics, Missing, Table
from nova_client.model import Capability, Limits, LogLine, Outcome, Param, Status
from nova_console.cli import costs as costs_command
from nova_console.cli import run_models, stats
from nova_console.cli.output import Output, dollars
from nova_console.cli.run_models import (
    Asked,
    Estimate,
    ModelFlags,
    Past,
    budgeted,
    directed,
    estimate,
    past_of,
)
from nova_console.cli.spoken import Spoken
from support.fake_mesh import ANSWER, FakeMesh, FakeTask, model, node

PLAIN = ModelFlags(None, False, None, False, None, None, False)
ESTIMATED: dict[str, Any] = {
    "models": [{"model": "fake/small", "worst_uusd": 300}],
    "low_uusd": 10,
    "expected_uusd": None,
    "worst_uusd": 300,
}


def card(name: str, **defaults: Any) -> Capability:
    params = tuple(Param(name, "json", False, value, "") for name, value in defaults.items())
    return Capability(name, "1", "", params, False, False, Limits())


CHAT = card(
    "llm.chat", prompt="", model="", models=[], local_only=False, json_schema=None, fresh=False
)
SOLVE = card(
    "code.solve",
    description="",
    tests="",
    attempts=4,
    best_of=1,
    model="",
    models=[],
    local_only=False,
    max_tokens=2048,
)


def ask(capability: Capability, flags: ModelFlags, mesh: FakeMesh, **args: Any) -> Asked:
    asked = Asked(capability, args, {}, {"labels": {"room": "attic"}})
    return asyncio.run(directed(mesh, asked, flags))


def two_models() -> FakeMesh:
    far = model("far/big", local=False, output_uusd_per_mtok=9, tokens_per_s=900.0)
    return FakeMesh(node("desk", model("fake/small"), far))


def test_a_prompt_goes_to_the_cheapest_model_unless_told_otherwise() -> None:
    plain = ask(CHAT, PLAIN, two_models(), prompt="?")
    assert plain.args == {"prompt": "?", "models": ("fake/small", "far/big")}
    assert plain.options.get("prefers") == (("model.fake-small", "yes"), ("model.far-big", "yes"))
    named = ask(CHAT, PLAIN, two_models(), model="far/big")
    assert named.args == {"models": ("far/big",)}


def test_flags_become_arguments_and_labels(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object"}')
    flags = ModelFlags("cheapest", True, str(schema), False, None, None, True)
    asked = ask(CHAT, flags, two_models())
    assert asked.args == {
        "models": ("fake/small",),
        "local_only": True,
        "fresh": True,
        "json_schema": {"type": "object"},
    }
    assert asked.options.get("labels") == {"room": "attic", "models.local": "yes"}


def test_what_asks_prompts_of_its_own_may_run_anywhere() -> None:
    flags = ModelFlags("fastest", False, None, False, None, 3, False)
    asked = ask(SOLVE, flags, two_models())
    assert asked.args == {"best_of": 3, "models": ("far/big", "fake/small")}
    assert "prefers" not in asked.options
    assert "models" not in ask(SOLVE, PLAIN, two_models()).args


def test_several_answers_to_a_prompt_are_another_capability() -> None:
    flags = ModelFlags(None, False, None, False, None, 3, False)
    assert (flags.capability("llm.chat"), flags.capability("code.solve")) == (
        "llm.best",
        "code.solve",
    )
    best = card("llm.best", prompt="", k=3, models=[], local_only=False)
    assert ask(best, flags, two_models()).args["k"] == 3


@pytest.mark.parametrize(
    "flags",
    [
        ModelFlags("far/big", False, None, False, None, None, False),
        ModelFlags(None, True, None, False, None, None, False),
        ModelFlags(None, False, None, False, None, 2, False),
        ModelFlags(None, False, None, False, None, None, True),
    ],
)
def test_a_capability_without_such_a_parameter_says_so(flags: ModelFlags) -> None:
    with pytest.raises(click.UsageError, match=r"core\.noop has no parameter"):
        ask(card("core.noop"), flags, two_models())


def test_a_model_that_nobody_has_is_not_found() -> None:
    flags = ModelFlags("far/bog", False, None, False, None, None, False)
    with pytest.raises(NotFound, match="far/bog"):
        ask(CHAT, flags, two_models())


# ------------------------------------------------------------ money


def budget(capability: Capability, usd: float, result: Mapping[str, Any], **args: Any) -> Any:
    def script(task: FakeTask) -> None:
        task.end(result)

    async def run() -> tuple[Asked, FakeMesh]:
        mesh = FakeMesh(script=script)
        asked = Asked(capability, args, {}, {})
        return await budgeted(mesh, asked, usd), mesh

    return asyncio.run(run())


def test_a_prompt_may_spend_its_worst_case_within_the_budget() -> None:
    asked, mesh = budget(CHAT, 0.01, ESTIMATED, prompt="?")
    assert (asked.options["budget_uusd"], asked.options["allowance_uusd"]) == (10_000, 300)
    assert mesh.tasks[0].capability == "llm.estimate"


def test_a_worst_case_over_the_budget_is_refused() -> None:
    with pytest.raises(Refused, match=r"\$0\.000300, more than \$0\.000200"):
        budget(CHAT, 0.0002, ESTIMATED, prompt="?")


def test_an_unknown_price_is_asked_about_and_refused_where_nobody_can_answer() -> None:
    unknown = {
        "models": [{"model": "new", "worst_uusd": None}],
        "low_uusd": None,
        "expected_uusd": None,
        "worst_uusd": None,
    }
    with pytest.raises(Refused, match="the price of new is unknown"):
        budget(CHAT, 1.0, unknown, prompt="?")


def test_what_makes_many_prompts_may_spend_all_of_it() -> None:
    asked, mesh = budget(SOLVE, 0.5, ESTIMATED)
    assert (asked.options["budget_uusd"], asked.options["allowance_uusd"]) == (500_000, 500_000)
    assert mesh.tasks == []


def test_an_estimate_counts_the_prompts_of_the_whole_work() -> None:
    def script(task: FakeTask) -> None:
        task.end(ESTIMATED)

    async def run() -> tuple[Estimate, FakeMesh]:
        mesh = FakeMesh(script=script)
        asked = Asked(SOLVE, {"description": "add", "best_of": 3}, {}, {})
        return await estimate(mesh, asked), mesh

    found, mesh = asyncio.run(run())
    assert found.worst_uusd == 300
    assert mesh.tasks[0].args == {"prompt": "add\n", "prompts": 12, "max_tokens": 2048}


def test_an_estimate_shows_what_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    row = {
        "model": "new\x1b[2J",
        "local": False,
        "input_tokens": 1_000,
        "output_tokens_max": 5,
        "low_uusd": None,
        "expected_uusd": None,
        "worst_uusd": None,
        "answers_known": 1_234,
    }
    past = Past(Cost("llm.chat", 5, 0, 0, 8_000_000, 1, 0), missing=("far", "off\x1b[2J"))
    run_models.show_estimate(Output(False), Estimate(None, None, None, (row,)), past)
    said = capsys.readouterr()
    assert "?" in said.out
    assert "1,000" in said.out
    assert "1,234" in said.out
    assert "without what these nodes recorded: far, off" in said.err
    assert "\x1b" not in said.out
    assert "so far 4 attempts of llm.chat cost $2.00 on average, in 30d" in said.err


def test_an_estimate_is_told_what_all_nodes_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    def script(task: FakeTask) -> None:
        task.end(ESTIMATED)

    async def run() -> tuple[Past, FakeMesh]:
        mesh = FakeMesh(script=script)
        past = await past_of(cast("Metrics", Recorded()), "llm.chat")
        await estimate(mesh, Asked(CHAT, {"prompt": "?"}, {}, {}), past)
        return past, mesh

    past, mesh = asyncio.run(run())
    assert mesh.tasks[0].args["usual"] == {"one": {"count": 4, "output_tokens": 25.0}}
    assert past.missing == ("far",)
    assert past.cost
    assert past.cost.attempts == 4


def test_an_estimate_does_without_a_history(capsys: pytest.CaptureFixture[str]) -> None:
    past = asyncio.run(past_of(cast("Metrics", Recorded(fails=True)), "llm.chat"))
    run_models.show_estimate(Output(False), Estimate(1, None, 2, ()), past)
    assert "without what the mesh recorded: nothing is recorded" in capsys.readouterr().err


class Recorded:
    """Two nodes that answer, and one that does not."""

    def __init__(self, fails: bool = False) -> None:
        self._fails = fails

    async def sql(self, sql: str, *, rows_max: int) -> Table:
        if self._fails:
            raise Refused("nothing is recorded", "see storage.metrics_cap_bytes")
        key = "one" if "SELECT model" in sql else "llm.chat"
        rows = (("near", key, 1, 10, 40, 5, 0, 0), ("here", key, 3, 30, "60", 15, 0, 0))
        missing = (Missing("k7q2m9xd", "far", "unavailable", "gone", "wait"),)
        return Table((), (), rows, (), missing)


@pytest.mark.parametrize(
    ("uusd", "text"),
    [
        (None, "?"),
        (0, "$0.00"),
        (1, "$0.000001"),
        (2_500_000, "$2.50"),
        (1_234_000_000, "$1,234.00"),
    ],
)
def test_money_is_shown_to_the_last_millionth_where_it_is_little(
    uusd: int | None, text: str
) -> None:
    assert dollars(uusd) == text


# ------------------------------------------------------------ the text


def line(text: str, attempt: int = 1) -> LogLine:
    return LogLine("k7q2m9xd-1", attempt, False, text, 1.0)


def outcome(attempt: int = 1) -> Outcome:
    return Outcome("k7q2m9xd-1", Status.DONE, attempt=attempt, node="k7q2m9xdabc")


def test_text_is_printed_as_it_comes_and_completed(capsys: pytest.CaptureFixture[str]) -> None:
    spoken = Spoken(Output(False))
    spoken.hear(line("Hello"))
    assert capsys.readouterr().out == "Hello"
    spoken.end(outcome(), ANSWER)
    said = capsys.readouterr()
    assert said.out == " you\n"
    assert said.err == "fake/small on node k7q2m9xd: 7 + 3 tokens, $0.500000\n"


def test_an_attempt_that_begins_again_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    spoken = Spoken(Output(False))
    spoken.hear(line("Good\x1b[2J"))
    spoken.hear(line("Hello you", attempt=2))
    spoken.end(outcome(2), ANSWER | {"cache": "exact"})
    said = capsys.readouterr()
    assert said.out == "Good\\x1b[2J\nHello you\n"
    assert "attempt 2 begins again" in said.err
    assert "cache: exact" in said.err


# ------------------------------------------------------------ what it cost


class FakeMetrics:
    """Answers every question with the rows it was given."""

    def __init__(self, *rows: tuple[Any, ...], missing: tuple[Missing, ...] = ()) -> None:
        self.rows = rows
        self.missing = missing
        self.sql_text = ""

    async def sql(self, sql: str, **_: Any) -> Table:
        self.sql_text = sql
        return Table((), (), self.rows, (), self.missing)


def test_costs_are_added_up_over_the_nodes() -> None:
    metrics = FakeMetrics(
        ("desk", "llm.chat", 2, 10, 5, 40, 1, 0),
        ("attic", "llm.chat", 1, 1, 1, "9", 0, 1),
        ("attic", "code.solve", 1, 1, 1, 900.0, 0, 0),
    )
    found = asyncio.run(costs(cast(Metrics, metrics), "capability", 0.0, 1.0))
    assert found.rows == (
        Cost("code.solve", 1, 1, 1, 900, 0, 0),
        Cost("llm.chat", 3, 11, 6, 49, 1, 1),
    )
    assert (found.all.attempts, found.all.spent_uusd) == (4, 949)
    assert "NOT asked" in metrics.sql_text


def test_days_are_in_their_order() -> None:
    metrics = FakeMetrics(
        ("desk", "2026-01-02", 1, 0, 0, 1, 0, 0), ("desk", "2026-01-01", 1, 0, 0, 0, 0, 0)
    )
    found = asyncio.run(costs(cast(Metrics, metrics), "day", 0.0, 1.0))
    assert [row.key for row in found.rows] == ["2026-01-01", "2026-01-02"]


def test_what_the_cache_saved_is_what_such_calls_cost_on_average() -> None:
    metrics = FakeMetrics(
        ("desk", "a false", 4, 0, 0, 400, 0, 0),
        ("desk", "a true", 3, 0, 0, 0, 0, 3),
        ("desk", "b true", 1, 0, 0, 0, 0, 1),
    )
    found = asyncio.run(saving(cast(Metrics, metrics), 0.0, 1.0))
    assert (found.calls, found.cached, found.saved_uusd) == (8, 4, 300)
    assert stats.told(found) == (
        "models: 8 calls, 4 of them answered by the cache (50.0%), about $0.000300 saved"
    )
    assert "unknown prices" in stats.told(Saving(1, 1, None))


def test_costs_say_what_has_no_price_and_who_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    row = Cost("me", 3, 10, 5, 1_500_000, 1, 0)
    gone = Missing("n2", "attic", "unavailable", "node attic is dead", "")
    found = Costs(0.0, 1.0, (row,), row, (gone,))
    costs_command.show(found, "person", Output(False))
    said = capsys.readouterr()
    assert "$1.50" in said.out
    assert "PERSON" in said.out
    assert "did not answer: attic" in said.err
    costs_command.show(found, "person", Output(True))
    assert json.loads(capsys.readouterr().out)["rows"][0]["unpriced"] == 1
