"""The work of a simulated mesh: capabilities whose results and failures are known beforehand."""

from __future__ import annotations

import itertools
import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from nova_node.adapters.memory_executor import Answer, Script
from nova_node.core.model import (
    Attempt,
    BlobRef,
    Call,
    Capability,
    Demand,
    Encoding,
    Failure,
    Limits,
    Outcome,
    Phase,
    Status,
    Usage,
    Value,
)

CAPABILITIES = (
    Capability("sim.quick"),
    Capability("sim.slow"),
    Capability("sim.list", splits=True, merges=True),
    Capability("sim.ask", waits=True),
)
MAX_ATTEMPTS = 3
WALL_S = 0.8

Keep = Callable[[bytes], BlobRef]
Spend = Callable[[Attempt, dict[str, Any]], Usage | None]


@dataclass(frozen=True)
class Job:
    """One task a client wants, and how it must end."""

    demand: Demand
    args: dict[str, Any]
    #: the JSON value of its result; None: it must fail
    value: Any = None
    #: the code it fails with, after so many charged attempts
    code: str = ""
    charges: int = 0
    #: codes that its attempts, and those of what grows from it, may be charged for
    charged_for: frozenset[str] = frozenset()
    #: the client gives up so long after the acknowledgement; 0 = never
    cancel_after_s: float = 0.0

    @property
    def call(self) -> Call:
        return Call(json.dumps(self.args).encode())


class Works:
    """Runs attempts on any node. Whoever fails as planned does so a number of times in all."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._failed: dict[str, int] = {}
        #: bytes by blob id, wherever they are held
        self.contents: dict[str, bytes] = {}
        self.runs = 0
        #: told of each attempt that begins, answers what it used
        self.spend: Spend = lambda attempt, args: None

    def script(self, keep: Keep) -> Script:
        return {
            "sim.quick": self._unit,
            "sim.slow": self._unit,
            "sim.list": lambda attempt: self._spent(attempt, self._list(attempt, keep)),
            "sim.ask": lambda attempt: self._spent(attempt, self._unit(attempt)),
        }

    def bytes_of(self, value: Value) -> bytes:
        return self.contents[value.blob.id] if value.blob else value.data

    def blob(self, data: bytes) -> BlobRef:
        blob_id = f"{zlib.crc32(data):08x}"
        self.contents[blob_id] = data
        return BlobRef(blob_id, len(data), Encoding.JSON)

    def _spent(self, attempt: Attempt, answer: Answer) -> Answer:
        if attempt.phase is Phase.RUN and isinstance(answer.end, tuple):
            return answer  # its shards spend
        return replace(answer, usage=self.spend(attempt, json.loads(attempt.call.args)))

    def _fails(self, key: str, how: str, times: int, after_s: float) -> Answer | None:
        if self._failed.get(key, 0) >= times:
            return None
        self._failed[key] = self._failed.get(key, 0) + 1
        match how:
            case "die":
                return Answer(None, after_s, dies=True)
            case "stall":
                return Answer(None)
            case "busy":
                pause_s = self._rng.choice((0.05, 0.5))
                return Answer(Failure("busy", "", retryable=True, retry_after_s=pause_s), after_s)
            case _:
                retryable = how == "raise"
                return Answer(Failure("raised", "as planned", retryable=retryable), after_s)

    def _unit(self, attempt: Attempt) -> Answer:
        args = json.loads(attempt.call.args)
        self.runs += 1
        after_s = self._rng.uniform(0.0, args["s"]) if args["s"] else 0.0
        failed = self._fails(args["u"], args.get("fail", ""), args.get("times", 0), after_s)
        if failed is not None:
            return failed
        said = f"{args['u']}\n" if self._rng.random() < 0.1 else ""
        return Answer(_json({"twice": 2 * args["x"]}), after_s, said)

    def _list(self, attempt: Attempt, keep: Keep) -> Answer:
        args = json.loads(attempt.call.args)
        self.runs += 1
        first, end, rng = args["a"], args["b"], self._rng
        after_s = rng.choice((0.0, 0.0, rng.uniform(0.0, args["s"])))
        key = f"{args['u']} {attempt.phase.name} {first} {end}"
        if attempt.phase is Phase.RUN and attempt.depth and first % 5 == 0 and args["fail"]:
            failed = self._fails(key, args["fail"], args["times"], after_s)
            if failed is not None:
                return failed
        if attempt.phase is Phase.SPLIT:
            return Answer(self._cut(args, args["cut"]), after_s)
        if attempt.phase is Phase.MERGE:
            parts = [json.loads(self.bytes_of(part)) for part in attempt.parts]
            return Answer(self._value([x for part in parts for x in part], args, keep), after_s)
        if args["nest"] and attempt.depth < 3 and end - first >= 4:
            return Answer(self._cut(args, min(args["nest"], end - first)), after_s)
        return Answer(self._value(list(range(first, end)), args, keep), after_s)

    def _cut(self, args: dict[str, Any], count: int) -> tuple[Call, ...]:
        first, size = args["a"], args["b"] - args["a"]
        edges = [first + size * i // count for i in range(count + 1)] if count else []
        return tuple(
            Call(json.dumps(args | {"a": a, "b": b}).encode()) for a, b in itertools.pairwise(edges)
        )

    def _value(self, value: list[int], args: dict[str, Any], keep: Keep) -> Value:
        inline = _json(value)
        if not args["blob"]:
            return inline
        blob = keep(inline.data)
        return Value(Encoding.JSON, b"", blob)


def _json(value: Any) -> Value:
    return Value(Encoding.JSON, json.dumps(value).encode())


# ---------------------------------------------------------------- what clients ask for


def make_job(rng: random.Random, unit: str, labels: list[tuple[str, str]]) -> Job:
    kind = rng.choices(
        ("quick", "slow", "list", "flaky", "poison", "fatal", "stall", "late", "hung", "empty"),
        (40, 12, 14, 10, 4, 4, 4, 4, 4, 2),
    )[0]
    args: dict[str, Any] = {"u": unit, "x": rng.randrange(100), "s": rng.choice((0.0, 0.0, 0.02))}
    value = {"twice": 2 * args["x"]}
    demand = Demand(
        "sim.quick",
        labels=(rng.choice(labels),) if rng.random() < 0.15 else (),
        priority=rng.choice((5, 5, 5, 2, 8)),
        max_attempts=MAX_ATTEMPTS,
    )
    cancel = rng.uniform(0.0, rng.choice((0.02, 1.0))) if rng.random() < 0.12 else 0.0
    match kind:
        case "slow":
            args["s"] = 2.0
            return Job(replace(demand, capability="sim.slow"), args, value, cancel_after_s=cancel)
        case "list" | "empty":
            return _list_job(rng, demand, args, cancel, kind == "empty")
        case "flaky":
            args |= {"fail": rng.choice(("raise", "die")), "times": rng.randint(1, 2)}
            return Job(demand, args, value, charged_for=frozenset({"raised", "worker_died"}))
        case "poison":
            args |= {"fail": "die", "times": 1 << 30}
            died = frozenset({"worker_died"})
            return Job(demand, args, None, "worker_died", MAX_ATTEMPTS, died)
        case "fatal":
            args |= {"fail": "fatal", "times": 1 << 30}
            return Job(demand, args, None, "raised", 1, frozenset({"raised"}))
        case "stall":
            args |= {"fail": "stall", "times": 1 << 30}
            limited = replace(demand, limits=Limits(wall_s=WALL_S))
            over = frozenset({"wall_limit"})
            return Job(limited, args, None, "wall_limit", MAX_ATTEMPTS, over)
        case "hung":
            args |= {"fail": "stall", "times": 1 << 30}
            return Job(demand, args, None, "", 0, cancel_after_s=rng.uniform(0.01, 1.5))
        case "late":
            args["s"] = 2.0
            return Job(
                replace(demand, capability="sim.slow", deadline_s=0.7), args, value, "deadline"
            )
        case _:
            return Job(demand, args, value, cancel_after_s=cancel)


def _list_job(
    rng: random.Random, demand: Demand, args: dict[str, Any], cancel_s: float, empty: bool
) -> Job:
    first, size = rng.randrange(1000), rng.choice((1, 7, 20, 40))
    cut = 0 if empty else min(size, rng.choice((1, 3, 9, 20)))
    args |= {
        "a": first,
        "b": first + size,
        "cut": cut,
        "nest": rng.choice((0, 0, 2, 5)),
        "blob": rng.random() < 0.5,
        "s": rng.choice((0.0, 0.1)),
        "times": rng.choice((1, 1, 9)),
        "fail": rng.choice(("", "", "raise", "die", "fatal")),
    }
    if rng.random() < 0.2:
        cancel_s = rng.uniform(0.0, 0.2)
    demand = replace(demand, capability="sim.list")
    if empty:
        return Job(demand, args, None, "split_empty", cancel_after_s=cancel_s)
    charged = frozenset({"raised", "worker_died"}) if args["fail"] else frozenset[str]()
    value = list(range(first, first + size))
    code = ""
    if args["fail"] == "fatal" or (args["fail"] and args["times"] >= MAX_ATTEMPTS):
        code = "worker_died" if args["fail"] == "die" else "raised"
    return Job(demand, args, value, code, 0, charged, cancel_s)


def wrong_end(job: Job, outcome: Outcome, works: Works, asked_to_cancel: bool) -> str:
    """What is wrong with this end of the job; "" when nothing is."""
    if outcome.status is Status.CANCELLED:
        return "" if asked_to_cancel else "it was cancelled and nobody asked"
    if outcome.status is Status.FAILED:
        code = outcome.failure.code if outcome.failure else ""
        if code and code == job.code:
            return ""
        return f"it failed with {code or 'no reason'}: {outcome.failure}"
    if job.value is None:
        return "it succeeded and could not have"
    if outcome.value is None:
        return "it is done without a value"
    value = json.loads(works.bytes_of(outcome.value))
    return "" if value == job.value else f"it gave {value}, not {job.value}"
