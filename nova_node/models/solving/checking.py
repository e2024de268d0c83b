"""One check of some code: what the sandbox is given, and what is to be made of its statement.

Rule: examples are compared here, outside of the sandbox, which never learns what they should give;
tests count only with the nonce, which only the process that ran them was told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nova_node.models.solving.check_program import unwrap
from nova_node.models.solving.problem import Problem

MARGIN_S = 2.0
"""The program gives up so long before the sandbox would kill it, and so can say where it stood."""
FAILURE_CHARS = 4_000
VALUE_CHARS = 500
FAILURES_SHOWN = 5

UNFIT = object()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. `passed` says that every check there was held."""

    passed: bool
    checks: int = 0
    held: int = 0
    #: what went wrong, for the one who repairs it; it quotes the program
    failure: str = ""
    #: what went wrong in a word of ours
    why: str = ""
    #: what it printed
    output: str = ""
    #: by example
    values: tuple[Any, ...] = ()
    #: why the caller's own tests cannot be run
    unfit: str = ""


@cache
def program() -> str:
    return Path(__file__).with_name("check_program.py").read_text()


def request_of(problem: Problem, code: str, nonce: str, timeout_s: float) -> bytes:
    """The stdin of the check program."""
    asked = {
        "code": code,
        "entry": problem.entry,
        "calls": [each.args for each in problem.calls],
        "tests": problem.tests,
        "nonce": nonce,
        "timeout_s": timeout_s,
    }
    return json.dumps(asked).encode()


def verdict_of(problem: Problem, statement: Mapping[str, Any], nonce: str, output: str) -> Verdict:
    """Of a statement of python.run, whatever it says."""
    status, told = statement.get("status"), statement.get("result")
    if status != "ok":
        text = f"{STATUS.get(str(status), 'the sandbox ended it')}: {statement.get('message', '')}"
        return Verdict(False, failure=_cut(text), why=str(status)[:40], output=output)
    if not isinstance(told, dict) or told.get("nonce") != nonce:  # type: ignore
        text = "the program ended the process that checks it"
        return Verdict(False, failure=text, why="no_verdict", output=output)
    return _judged(problem, told, output)  # type: ignore


STATUS = {
    "error": "the program brought its checks to an end",
    "out_of_memory": "it used too much memory",
    "timeout": "it ran for too long",
    "output_cap": "it wrote too much",
    "refused": "it left what is no plain file",
}


def _judged(problem: Problem, told: Mapping[str, Any], output: str) -> Verdict:
    expected = sum(each.expects for each in problem.examples)
    if told["unfit"]:
        return Verdict(False, why="unfit", unfit=str(told["unfit"])[:FAILURE_CHARS], output=output)
    if loading := told.get("loading"):
        text = "the code did not load:\n" + loading[2]
        return Verdict(False, expected, 0, _cut(text), "load_error", output)
    if problem.entry not in told["names"]:
        text = f"the code defines no function {problem.entry}"
        return Verdict(False, expected, 0, text, "no_entry", output)
    values, failures = list[Any](), list[str]()
    held = 0
    for example, answer in zip(problem.calls, told["calls"], strict=False):
        value = _value(answer)
        values.append(None if value is UNFIT else value)
        wrong = _wrong(problem.entry, example.args, example.output, example.expects, answer, value)
        held += example.expects and not wrong
        failures += [wrong] if wrong else []
    failures += [*told["failures"]]
    checks, held = expected + told["checks"], held + told["passed"]
    if told["ended"]:
        failures.append(f"after {len(values)} calls and {told['checks']} tests: {told['ended']}")
    elif problem.tests and not told["checks"]:
        failures.append("the tests ran no assert")
    why = "ended" if told["ended"] else "wrong" if failures else ""
    text = "\n\n".join(failures[:FAILURES_SHOWN])
    if len(failures) > FAILURES_SHOWN:
        text += f"\n\nand {len(failures) - FAILURES_SHOWN} more"
    whole = not failures and held == checks
    return Verdict(whole, checks, held, _cut(text), why, output, tuple(values))


def _value(answer: Mapping[str, Any]) -> Any:
    """In the form of JSON; UNFIT where it raised, or gave what JSON cannot hold."""
    if "value" not in answer:
        return UNFIT
    try:
        value = json.loads(json.dumps(unwrap(answer["value"]), allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return UNFIT
    return value


def _wrong(
    entry: str, args: tuple[Any, ...], output: Any, expects: bool, answer: Any, value: Any
) -> str:
    """What is wrong with the answer to a call, or nothing."""
    call = f"{entry}({', '.join(_shown(each) for each in args)})"
    if "raised" in answer:
        kind, message, trace = answer["raised"]
        return f"{call}\nraised {kind}: {message}\n{trace}"
    if expects and value is UNFIT:
        return f"{call}\nexpected: {_shown(output)}\ngot: {_cut(str(answer['value']), VALUE_CHARS)}"
    if expects and not same(output, value):
        return f"{call}\nexpected: {_shown(output)}\ngot: {_shown(value)}"
    return ""


def same(expected: Any, got: Any) -> bool:
    """Equal as JSON; numbers within a billionth, and true is no 1."""
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, float) or isinstance(got, float):
        return (
            isinstance(expected, int | float)
            and isinstance(got, int | float)
            and math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-12)
        )
    if isinstance(expected, list) and isinstance(got, list):
        pairs: Any = zip(expected, got, strict=False)  # type: ignore
        return len(expected) == len(got) and all(same(a, b) for a, b in pairs)  # type: ignore
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(expected[k], got[k]) for k in expected)  # type: ignore
    return type(expected) is type(got) and expected == got  # type: ignore


def _shown(value: Any) -> str:
    return _cut(json.dumps(value, ensure_ascii=False), VALUE_CHARS)


def _cut(text: str, most: int = FAILURE_CHARS) -> str:
    text = text.encode(errors="backslashreplace").decode()
    return text if len(text) <= most else f"{text[: most // 2]}\n...\n{text[-most // 2 :]}"
