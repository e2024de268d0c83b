"""Findings: their form, and whether what they point at is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from nova_node.models.specialists.source import Source

SEVERITIES = ("high", "medium", "low")
PER_CHUNK_MAX = 50
TITLE_CHARS = 200
TEXT_CHARS = 2_000
SUGGESTION_CHARS = 8_000
QUOTE_CHARS = 300

_TEXTS = ("file", "severity", "quote", "title", "explanation", "suggestion")

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **{name: {"type": "string"} for name in _TEXTS},
                    "line": {"type": "integer"},
                    "severity": {"type": "string", "enum": [*SEVERITIES]},
                },
                "required": [*_TEXTS, "line"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["findings"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Finding:
    file: str
    line: int
    severity: str
    #: of the line, as it stands there
    quote: str
    title: str
    explanation: str
    suggestion: str


class Wrong(Exception):
    """Why a finding does not count: form, file, line, quote, suggestion, many, twice."""


def findings_of(
    parsed: Any, parts: Sequence[Source], needs_suggestion: bool
) -> tuple[list[Finding], Counter[str]]:
    """Those that stand up to a look at the parts, and how many did not, by why."""
    told = cast("dict[str, Any]", parsed).get("findings") if isinstance(parsed, dict) else None
    if not isinstance(told, list):
        return [], Counter(form=1)
    rows = cast("list[Any]", told)
    found, dropped = list[Finding](), Counter[str]()
    if len(rows) > PER_CHUNK_MAX:
        dropped["many"] = len(rows) - PER_CHUNK_MAX
    for each in rows[:PER_CHUNK_MAX]:
        try:
            found.append(_finding(each, parts, needs_suggestion))
        except Wrong as why:
            dropped[str(why)] += 1
    return found, dropped


def merged(found: Iterable[Finding]) -> tuple[list[Finding], int]:
    """The worst first, and how many said no more than another did."""
    kept, seen, twice = list[Finding](), set[tuple[str, int, str]](), 0
    for each in sorted(found, key=lambda f: (SEVERITIES.index(f.severity), f.file, f.line)):
        key = each.file, each.line, _plain(each.title).casefold()
        twice += key in seen
        if key not in seen:
            kept.append(each)
        seen.add(key)
    return kept, twice


def _finding(raw: Any, parts: Sequence[Source], needs_suggestion: bool) -> Finding:
    """Raises Wrong."""
    told = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
    texts: dict[str, Any] = {name: told.get(name) for name in _TEXTS}
    line = told.get("line")
    if not all(isinstance(text, str) for text in texts.values()) or type(line) is not int:
        raise Wrong("form")
    if texts["severity"] not in SEVERITIES or not texts["title"].strip():
        raise Wrong("form")
    file = _file(texts["file"], {part.name for part in parts})
    lines = {
        each.number: each.text
        for part in parts
        if part.name == file
        for each in part.lines
        if each.number
    }
    if line not in lines:
        raise Wrong("line")
    line = _place(texts["quote"], line, lines)
    if needs_suggestion and not texts["suggestion"].strip():
        raise Wrong("suggestion")
    return Finding(
        file,
        line,
        texts["severity"],
        _plain(lines[line])[:QUOTE_CHARS],
        _plain(texts["title"])[:TITLE_CHARS],
        texts["explanation"].strip()[:TEXT_CHARS],
        texts["suggestion"].strip("\n")[:SUGGESTION_CHARS],
    )


def _file(told: str, names: set[str]) -> str:
    """Raises Wrong."""
    for prefix in ("", "./", "a/", "b/"):
        if told.startswith(prefix) and told.removeprefix(prefix) in names:
            return told.removeprefix(prefix)
    raise Wrong("file")


def _place(quote: str, line: int, lines: dict[int, str]) -> int:
    """Where the quoted text stands, nearest to the line that was told: models miscount. Raises Wrong."""
    first = next((_plain(each) for each in quote.splitlines() if each.strip()), "")
    places = [number for number, text in lines.items() if first and first in _plain(text)]
    if not places:
        raise Wrong("quote")
    return min(places, key=lambda number: (abs(number - line), number))


def _plain(text: str) -> str:
    return " ".join(text.split())
