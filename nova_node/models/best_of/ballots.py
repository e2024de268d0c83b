"""Ballots: what each juror is shown, what it chose, and who won."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from nova_node.models.prompting import Reply, fenced

WHY_CHARS = 500
SHOWN_CHARS = 20_000
"""Of each answer; a juror need not read more of one to prefer another."""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"best": {"type": "integer"}, "why": {"type": "string"}},
    "required": ["best", "why"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Ballot:
    juror: str
    #: number of the answer chosen, from 1 on; 0: the ballot is void
    choice: int
    why: str
    #: the answers, in the order that this juror saw them
    order: tuple[int, ...]


@cache
def texts() -> dict[str, str]:
    return tomllib.loads(Path(__file__).with_name("prompts.toml").read_text())


def orders(answers: int, jurors: int, seed: int) -> list[tuple[int, ...]]:
    """For each juror another: where an answer stands must not decide."""
    random = Random(seed)
    numbers = range(1, answers + 1)
    return [tuple(random.sample(numbers, answers)) for _ in range(jurors)]


def paper(question: str, answers: Sequence[str], order: Sequence[int]) -> str:
    """What a juror reads. The answers are numbered as they stand there, not as we do."""
    shown = [
        fenced(f"answer-{place}", answers[number - 1][:SHOWN_CHARS])
        for place, number in enumerate(order, 1)
    ]
    told = fenced("question", question)
    return texts()["ballot"].format(question=told, answers="\n\n".join(shown)).strip()


def ballot_of(reply: Reply, order: tuple[int, ...]) -> Ballot:
    """Void when the juror failed, or named no number of an answer."""
    told: dict[str, Any] = reply.parsed if type(reply.parsed) is dict else {}  # type: ignore
    best, why = told.get("best"), str(told.get("why") or reply.failed)[:WHY_CHARS]
    chosen = order[best - 1] if type(best) is int and 1 <= best <= len(order) else 0
    return Ballot(reply.model, chosen, why, order)


def winner(ballots: Sequence[Ballot]) -> int:
    """The answer with the most votes, the earlier of equals; 1 where no ballot counts."""
    votes = Counter(each.choice for each in ballots if each.choice)
    return min(votes, key=lambda number: (-votes[number], number), default=1)


def agreed(answers: Sequence[str]) -> int:
    """The first of those that more than half of the answers equal, up to case and blanks; 0: none."""
    plain = [" ".join(each.split()).casefold().rstrip(".") for each in answers]
    text, count = Counter(plain).most_common(1)[0]
    return plain.index(text) + 1 if count * 2 > len(plain) else 0
