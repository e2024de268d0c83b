"""The options of `nova run` for capabilities that use models: which of them, and for how much money."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from nova_client import NovaError, Refused
from nova_client.costs import Answers, Cost, answers, costs
from nova_client.metrics import Metrics
from nova_client.model import Capability, InputSource, SubmitOptions
from nova_client.models import LOCAL_LABEL, Needs, choose, offers

from nova_console.cli.output import Output, dollars, span
from nova_console.openai.mesh import Mesh

CHAT, BEST, EMBED, ESTIMATE = "llm.chat", "llm.best", "llm.embed", "llm.estimate"
ASKS_A_MODEL = (CHAT, EMBED)
"""They run where the model is; others ask for prompts of their own, wherever they run."""

HISTORY_S = 30 * 86_400.0
_TITLES = (
    *("MODEL", "WHERE", "TOKENS IN", "TOKENS OUT AT MOST"),
    *("LOW", "EXPECTED", "BY ANSWERS", "WORST"),
)

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--model", metavar="NAME", help="Or cheapest, or fastest; several with commas."),
    click.option("--local-only", is_flag=True, help="The prompt may reach local models alone."),
    click.option(
        "--json-schema", "json_schema", metavar="FILE", help="JSON Schema that the answer has to fit."
    ),
    click.option("--estimate", is_flag=True, help="Say what it would cost, and run nothing."),
    click.option(
        "--budget", "budget_usd", type=click.FloatRange(0, min_open=True), metavar="USD",
        help="Spend no more than this.",
    ),
    click.option("--best-of", type=click.IntRange(2, 16), metavar="K", help="Choose among K answers."),
    click.option("--fresh", is_flag=True, help="No answer that was given before."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelFlags:
    model: str | None
    local_only: bool
    json_schema: str | None
    estimate: bool
    budget_usd: float | None
    best_of: int | None
    fresh: bool

    def capability(self, named: str) -> str:
        """Several answers to a prompt are a capability of their own."""
        return BEST if named == CHAT and self.best_of else named


def model_options(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that is about to be submitted."""

    card: Capability
    args: Mapping[str, Any]
    inputs: Mapping[str, InputSource]
    options: SubmitOptions


async def directed(mesh: Mesh, asked: Asked, flags: ModelFlags) -> Asked:
    """With the arguments, labels and preferences that the flags stand for. Raises click.UsageError
    (the capability has no such parameter), NotFound (no such model)."""
    names = {param.name for param in asked.card.params}
    args, options = dict(asked.args), asked.options.copy()
    args |= _flagged(asked.card, names, flags)
    if flags.local_only:
        options["labels"] = {**options.get("labels", {}), **dict([LOCAL_LABEL])}
    wants_models = bool({"models", "local_only"} <= names)
    if flags.model is not None and not wants_models:
        raise _no_parameter(asked.card, "--model", "models")
    if wants_models and (flags.model is not None or asked.card.name in ASKS_A_MODEL):
        want = flags.model or ",".join([args.get("model") or "", *args.get("models", ())])
        kind = "embed" if asked.card.name == EMBED else "chat"
        needs = Needs(
            kind,
            bool(args.get("local_only")),
            bool(asked.inputs.get("images")),
            bool(args.get("tools")),
        )
        choice = choose(offers((await mesh.nodes()).nodes), want.strip(","), needs)
        args.pop("model", None)
        args["models"] = choice.models[:1] if kind == "embed" else choice.models
        if asked.card.name in ASKS_A_MODEL:
            options["prefers"] = choice.prefers
    return replace(asked, args=args, options=options)


def _flagged(card: Capability, names: set[str], flags: ModelFlags) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if flags.best_of is not None:
        name = "k" if card.name == BEST else "best_of"
        given[name] = flags.best_of
    if flags.json_schema is not None:
        given["json_schema"] = _schema(flags.json_schema)
    if flags.local_only:
        given["local_only"] = True
    if flags.fresh:
        given["fresh"] = True
    missing = next((name for name in given if name not in names), None)
    if missing is not None:
        raise _no_parameter(card, "--" + missing.replace("_", "-"), missing)
    return given


def _no_parameter(card: Capability, option: str, name: str) -> click.UsageError:
    return click.UsageError(f"{option}: {card.name} has no parameter {name}")


def _schema(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--json-schema {path}: {error}") from None


# ------------------------------------------------------------ money


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of all models that may be asked, in millionths of a US dollar; None: unknown."""

    low_uusd: int | None
    expected_uusd: int | None
    worst_uusd: int | None
    #: one for each model, as llm.estimate gives it
    models: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Past:
    """What the nodes of this mesh recorded of late."""

    #: of attempts of the capability that is asked about; None: there were none
    cost: Cost | None = None
    #: by model
    answers: Mapping[str, Answers] = field(default_factory=dict[str, Answers])
    #: names of nodes that did not tell theirs
    missing: tuple[str, ...] = ()
    #: why nobody did
    failure: str = ""


async def estimate(mesh: Mesh, asked: Asked, past: Past | None = None) -> Estimate:
    """What the call would cost: asks the mesh, but no model. Raises click.UsageError."""
    call = _prompts(asked)
    args = dict(call.args)
    if past is not None and past.answers:
        args["usual"] = {name: asdict(each) for name, each in past.answers.items()}
    task = await mesh.submit(
        ESTIMATE,
        args,
        inputs=call.inputs,
        durability="volatile",
        labels=call.options.get("labels", {}),
        prefers=call.options.get("prefers", ()),
    )
    found = cast("Mapping[str, Any]", await task.result())
    totals = (found["low_uusd"], found["expected_uusd"], found["worst_uusd"])
    return Estimate(*totals, tuple(found["models"]))


def _prompts(asked: Asked) -> Asked:
    """The prompts that a call becomes at most, as a call of llm.estimate."""
    known = {param.name: param.default for param in asked.card.params} | dict(asked.args)
    shared = ("system", "models", "model", "local_only", "max_tokens")
    args = {name: asked.args[name] for name in shared if name in asked.args}
    match asked.card.name:
        case "llm.chat":
            more = ("prompt", "messages", "tools")
            args |= {name: asked.args[name] for name in more if name in asked.args}
        case "llm.best":
            args |= {"prompt": known["prompt"], "prompts": 2 * known["k"]}
        case "code.solve":
            rounds = known["attempts"] * known["best_of"]
            args |= {"prompt": f"{known['description']}\n{known['tests']}", "prompts": rounds}
            args.setdefault("max_tokens", known["max_tokens"])
        case name:
            raise click.UsageError(
                f"what {name} costs is not known beforehand; --budget bounds it all the same"
            )
    return replace(asked, args=args)


async def past_of(metrics: Metrics, capability: str) -> Past:
    """Of all nodes that answer. Never raises: an estimate can do without."""
    now = time.time()
    begin = now - HISTORY_S
    try:
        spent, (known, untold) = await asyncio.gather(
            costs(metrics, "capability", begin, now), answers(metrics, begin, now)
        )
    except NovaError as error:
        return Past(failure=error.message)
    missing = {one.node: one.name or one.node for one in (*spent.missing, *untold)}
    cost = next((row for row in spent.rows if row.key == capability), None)
    return Past(cost, known, tuple(sorted(missing.values())))


def show_estimate(out: Output, found: Estimate, past: Past) -> None:
    if out.as_json:
        plain = {each.name: getattr(found, each.name) for each in fields(found)}
        out.json({**plain, "history": past.cost, "missing": past.missing, "why": past.failure})
        return
    rows = [
        (
            each["model"],
            "local" if each["local"] else "cloud",
            f"{each['input_tokens']:,}",
            f"{each['output_tokens_max']:,}",
            dollars(each["low_uusd"]),
            dollars(each["expected_uusd"]),
            f"{each['answers_known']:,}",
            dollars(each["worst_uusd"]),
        )
        for each in found.models
    ]
    low, expected, worst = map(dollars, (found.low_uusd, found.expected_uusd, found.worst_uusd))
    out.table(_TITLES, [*rows, ("any of them", "", "", "", low, expected, "", worst)])
    if found.expected_uusd is None and found.worst_uusd is not None:
        out.note("what to expect is known once the model has answered")
    cost = past.cost
    if cost is not None and (priced := cost.attempts - cost.unpriced):
        out.note(
            f"so far {priced:,} attempts of {cost.key} cost {dollars(cost.spent_uusd / priced)}"
            f" on average, in {span(HISTORY_S)}"
        )
    if past.missing:
        out.note(f"without what these nodes recorded: {', '.join(past.missing)}; see `nova nodes`")
    if past.failure:
        out.note(f"without what the mesh recorded: {past.failure}")


async def budgeted(mesh: Mesh, asked: Asked, budget_usd: float) -> Asked:
    """With what it may spend. Raises Refused: its worst case is more, or nobody knows the price.

    A prompt may spend its worst case. What makes many prompts may spend the budget, each of its shards
    an even part of it, and stays within that by itself."""
    options, budget_uusd = asked.options.copy(), int(budget_usd * 1e6)
    allowance_uusd = budget_uusd // (asked.options.get("shards") or 1)
    if asked.card.name == CHAT:
        found = await estimate(mesh, asked)
        if found.worst_uusd is None:
            return _unpriced(asked, found)
        allowance_uusd = max(1, found.worst_uusd)
    if not 0 < allowance_uusd <= budget_uusd:
        raise Refused(
            f"it may cost {dollars(allowance_uusd)}, more than {dollars(budget_uusd)}",
            "raise --budget, lower max_tokens, or name a cheaper model; see --estimate",
            "budget_exhausted",
        )
    options["budget_uusd"], options["allowance_uusd"] = budget_uusd, allowance_uusd
    return replace(asked, options=options)


def _unpriced(asked: Asked, found: Estimate) -> Asked:
    """Nobody can hold a budget then: asks whether to go on without. Raises Refused."""
    names = [str(each["model"]) for each in found.models if each["worst_uusd"] is None]
    what = f"the price of {', '.join(names)} is unknown, so no budget holds"
    if not sys.stdin.isatty() or not click.confirm(f"{what}. Run it without one?", err=True):
        raise Refused(
            what,
            "tell its node the price: --model NAME,price_in=USD,price_out=USD;"
            " or run it without --budget",
            "model_price_unknown",
        )
    return asked
