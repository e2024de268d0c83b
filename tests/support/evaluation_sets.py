"""Evaluation sets of the specialists: cases, what is to be found in them, and how well that was done."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("evaluation")
LINES_OFF = 2


@dataclass(frozen=True)
class Case:
    """Either a diff or files. `reply` is what the scripted model says."""

    name: str
    reply: str
    expect: Sequence[dict[str, Any]]
    diff: str = ""
    files: Sequence[dict[str, str]] = field(default_factory=tuple[dict[str, str], ...])

    @property
    def mark(self) -> str:
        """By which its prompt can be told from all others: the name of its first file."""
        return self.files[0]["name"] if self.files else self.diff.split("+++ b/")[1].split("\n")[0]

    def write(self, folder: Path) -> list[Path]:
        for each in self.files:
            (folder / each["name"]).write_text(each["text"])
        return [folder / each["name"] for each in self.files]


@dataclass
class Score:
    found: int = 0
    right: int = 0
    expected: int = 0
    met: int = 0
    dropped: int = 0

    def add(self, case: Case, result: dict[str, Any]) -> None:
        findings = result["findings"]
        self.found += len(findings)
        self.right += sum(any(fits(f, e) for e in case.expect) for f in findings)
        self.expected += len(case.expect)
        self.met += sum(any(fits(f, e) for f in findings) for e in case.expect)
        self.dropped += sum(result["dropped"].values())

    @property
    def precision(self) -> float:
        return self.right / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        return self.met / self.expected if self.expected else 1.0


def fits(finding: dict[str, Any], expected: dict[str, Any]) -> bool:
    told = " ".join(finding[each] for each in ("title", "explanation", "suggestion")).casefold()
    return (
        finding["file"] == expected["file"]
        and abs(finding["line"] - expected["line"]) <= LINES_OFF
        and any(word in told for word in expected["words"])
    )


@cache
def cases(name: str) -> tuple[Case, ...]:
    """Of a specialist, such as review.code."""
    text = (FOLDER / f"{name}.toml").read_text()
    return tuple(Case(**each) for each in tomllib.loads(text)["case"])


@cache
def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def scripted(prompt: str) -> str:
    """What the scripted model says to a prompt of any of them."""
    return next(c.reply for name in names() for c in cases(name) if f"\n{c.mark}\n" in prompt)
