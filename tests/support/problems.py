"""Fifty small problems, and a scripted model that solves most of them, some only after it was told what was
wrong. The problems are in problems.toml."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from support.waiting import fence

WRONG_BEFORE = {"right": 0, "once": 1, "twice": 2, "never": 1_000}


@dataclass(frozen=True)
class Made:
    """`plan` says how often the model is wrong before it is right."""

    name: str
    description: str
    right: str
    wrong: str
    plan: str
    tests: str = ""
    examples: Sequence[dict[str, Any]] = field(default_factory=tuple[dict[str, Any], ...])

    @property
    def call(self) -> dict[str, Any]:
        """The arguments of code.solve."""
        examples = [*self.examples]
        return {"description": self.description, "examples": examples, "tests": self.tests}

    @property
    def wrong_before(self) -> int:
        return WRONG_BEFORE[self.plan]


@cache
def problems() -> tuple[Made, ...]:
    text = Path(__file__).with_name("problems.toml").read_text()
    return tuple(Made(**each) for each in tomllib.loads(text)["problem"])


class ScriptedModel:
    """Knows the problem by its description, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = Counter[str]()

    def answer(self, prompt: str) -> str:
        """To the first message of a conversation about one of the problems."""
        made = next(each for each in problems() if f"\n{each.description}\n" in prompt)
        self.asked[made.name] += 1
        right = self.asked[made.name] > made.wrong_before
        return fence((made.right if right else made.wrong).strip("\n"))
