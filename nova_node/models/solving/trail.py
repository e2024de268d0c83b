"""The chain of work, for a person to read: one entry for each thing that was done.

Rule: what a model or a program wrote is cut to one short line of printable signs before it stands here.
"""

from __future__ import annotations

from typing import NamedTuple

from nova_node.models.prompting import Reply, dollars
from nova_node.models.solving.checking import Verdict

LINE_CHARS = 160


class Entry(NamedTuple):
    attempt: int
    candidate: int
    #: write, check, stop
    did: str
    text: str

    def line(self) -> str:
        return f"{self.attempt}.{self.candidate} {self.did:5} {self.text}\n"


def written(attempt: int, candidate: int, reply: Reply, code: str) -> Entry:
    who = shown(reply.model, 60) or "a model"
    if reply.failed:
        return Entry(attempt, candidate, "write", f"{who} failed: {reply.failed}")
    what = f"{who} wrote {code.count(chr(10))} lines" if code else f"{who} wrote no program"
    if (used := reply.usage) is not None:
        what += f", {used.input_tokens} + {used.output_tokens} tokens, {dollars(used.spent_uusd)}"
        what += f", cache: {shown(used.cache, 60)}" if used.cache else ""
    return Entry(attempt, candidate, "write", what)


def checked(attempt: int, candidate: int, verdict: Verdict) -> Entry:
    return Entry(attempt, candidate, "check", brief(verdict))


def gave_up(attempt: int, ended: str) -> Entry:
    text = f"no more {ended}" if ended in ("attempts", "tokens", "money") else ended
    return Entry(attempt, 0, "stop", text)


def brief(verdict: Verdict) -> str:
    if verdict.passed:
        return (
            f"all {verdict.checks} checks hold" if verdict.checks else "it runs; nothing to check"
        )
    lines = verdict.failure.strip().splitlines()
    text = " | ".join(line.strip() for line in lines[:3] if line.strip())
    return f"{verdict.held} of {verdict.checks} checks hold: {shown(text)}"


def shown(text: str, most: int = LINE_CHARS) -> str:
    """On one line, with no sign that a terminal would act on."""
    text = text[: most * 4]
    text = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
    return text if len(text) <= most else text[: most - 3] + "..."
