"""What is to be solved, and within what bounds. Read from a caller's arguments and checked here."""

from __future__ import annotations

import json
import keyword
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_node.answer import BadArgument

DESCRIPTION_CHARS = 100_000
TESTS_CHARS = 200_000
EXAMPLES_MAX = 1_000
EXAMPLES_CHARS = 1_000_000
ATTEMPTS_MAX = 20
BEST_OF_MAX = 16
TIMEOUT_MAX_S = 600.0


@dataclass(frozen=True, slots=True)
class Example:
    """One call of the entry; `expects` is false where any value will do."""

    args: tuple[Any, ...]
    output: Any = None
    expects: bool = True


@dataclass(frozen=True, slots=True)
class Problem:
    description: str
    entry: str = "solve"
    examples: tuple[Example, ...] = ()
    tests: str = ""

    @property
    def proves(self) -> bool:
        """Whether there is anything by which code could be told to be right."""
        return bool(self.tests) or any(each.expects for each in self.examples)

    @property
    def calls(self) -> tuple[Example, ...]:
        """What to call the entry with: without examples and tests, with nothing, for its value."""
        return self.examples if self.examples or self.tests else (Example((), None, False),)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What may be used up. Zero tokens or money: as much as the others allow."""

    attempts: int = 4
    #: candidates an attempt
    best_of: int = 1
    #: of one reply
    reply_tokens: int = 2048
    #: of all prompts and replies together
    tokens: int = 0
    #: millionths of a US dollar, of all replies together
    allowance_uusd: int = 0
    #: of one run in the sandbox
    timeout_s: float = field(default=20.0)


def problem_of(description: str, examples: Sequence[Any], tests: str, entry: str) -> Problem:
    """Raises BadArgument."""
    if not description.strip():
        raise BadArgument("the description is empty", "say what the code is to do")
    for name, text, most in (
        ("description", description, DESCRIPTION_CHARS),
        ("tests", tests, TESTS_CHARS),
    ):
        if len(text) > most:
            raise BadArgument(f"{name} has {len(text):,} characters", f"give {most:,} at most")
    if not entry.isidentifier() or keyword.iskeyword(entry) or len(entry) > 100:
        raise BadArgument(f"{entry[:100]!a} is no name of a function", "give entry as in: solve")
    if len(examples) > EXAMPLES_MAX or len(json.dumps(examples)) > EXAMPLES_CHARS:
        raise BadArgument("too many examples", f"give {EXAMPLES_MAX:,} at most, and small ones")
    return Problem(description, entry, tuple(map(_example, examples)), tests)


def bounds_of(bounds: Bounds) -> Bounds:
    """The same, if every number is in its range. Raises BadArgument."""
    for name, value, low, high in (
        ("attempts", bounds.attempts, 1, ATTEMPTS_MAX),
        ("best_of", bounds.best_of, 1, BEST_OF_MAX),
        ("max_tokens", bounds.reply_tokens, 1, 1_000_000),
        ("total_tokens", bounds.tokens, 0, 1_000_000_000),
        ("timeout_s", bounds.timeout_s, 1.0, TIMEOUT_MAX_S),
    ):
        if not low <= value <= high:
            raise BadArgument(f"{name} is {value:g}", f"give {low:g} to {high:g}")
    return bounds


def _example(given: Any) -> Example:
    shown = ascii(given)[:100]
    form: dict[str, Any] = {**given} if type(given) is dict else {}  # type: ignore
    if not form.keys() <= {"input", "args", "output"} or len(form.keys() & {"input", "args"}) != 1:
        raise BadArgument(
            f"{shown} is no example",
            'write {"input": 3, "output": 9}, or {"args": [3, 4], "output": 7} for two arguments',
        )
    args: Any = form["args"] if "args" in form else [form["input"]]
    if not isinstance(args, list):
        raise BadArgument("the args of an example are no list", 'write {"args": [3, 4], ...}')
    return Example(tuple(args), form.get("output"), "output" in form)  # type: ignore
