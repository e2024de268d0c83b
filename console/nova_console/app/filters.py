"""What a person types after `/`: words that all have to occur, `!word` that must not, and
`name:word` for one field. Case does not matter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    word: str
    field: str
    inverse: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """Without terms it lets everything pass."""

    text: str = ""
    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def passes(self, fields: Mapping[str, str]) -> bool:
        """A name that is no field counts as part of the word, as in `10.0.0.1:7600`."""
        return all(_holds(term, fields) is not term.inverse for term in self.terms)

    def value(self, field: str) -> str:
        """What the field is asked to be, "" when it is not."""
        found = (t.word for t in self.terms if t.field == field and not t.inverse)
        return next(found, "")


def parse(text: str) -> Filter:
    return Filter(text.strip(), tuple(_term(word) for word in text.lower().split()))


def _term(word: str) -> Term:
    inverse = word.startswith("!") and len(word) > 1
    word = word[1:] if inverse else word
    field, colon, rest = word.partition(":")
    return Term(rest, field, inverse) if colon and field and rest else Term(word, "", inverse)


def _holds(term: Term, fields: Mapping[str, str]) -> bool:
    if term.field in fields:
        return term.word in fields[term.field].lower()
    word = f"{term.field}:{term.word}" if term.field else term.word
    return any(word in value.lower() for value in fields.values())
