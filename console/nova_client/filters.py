"""What a person types to narrow a list: words that all have to occur, `!word` that must not, and
`name:word` for one field. Case does not matter. Pure.

`nova tasks` and the console speak it, of what nodes hold and (see ended_sql) of what they recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    word: str
    field: str
    inverse: bool

    @property
    def whole(self) -> str:
        """As it was typed; what it asks for when its name is no field, as in `10.0.0.1:7600`."""
        return f"{self.field}:{self.word}" if self.field else self.word


@dataclass(frozen=True, slots=True)
class Filter:
    """Without terms it lets everything pass."""

    text: str = ""
    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.terms)

    def passes(self, fields: Mapping[str, str]) -> bool:
        return all(_holds(term, fields) is not term.inverse for term in self.terms)

    def value(self, field: str) -> str:
        """What the field is asked to be, "" when it is not."""
        found = (t.word for t in self.terms if t.field == field and not t.inverse)
        return next(found, "")

    def of(self, field: str, values: Iterable[str]) -> tuple[str, ...]:
        """Which of the values of a field pass what is said of that field."""
        terms = [term for term in self.terms if term.field == field]
        return tuple(v for v in values if all((t.word in v) is not t.inverse for t in terms))


def parse(text: str) -> Filter:
    return Filter(text.strip(), tuple(_term(word) for word in text.lower().split()))


def whole_capability(wanted: Filter) -> str:
    """What `cap:` names when it looks like a whole name, "" else: nodes can tell these by themselves."""
    word = wanted.value("cap")
    return word if "." in word else ""


def task_fields(
    *, id: str, status: str, capability: str, phase: str, node: str, name: str, code: str, why: str
) -> dict[str, str]:
    """What a filter can ask of a task. `node` and `name` are those of where it is or was last, ""
    before; `code` and `why` tell how it failed."""
    return {
        "id": id,
        "status": status,
        "cap": capability,
        "node": f"{name} {node}",
        "why": f"{code} {why}",
        "phase": phase,
    }


def _term(word: str) -> Term:
    inverse = word.startswith("!") and len(word) > 1
    word = word[1:] if inverse else word
    field, colon, rest = word.partition(":")
    return Term(rest, field, inverse) if colon and field and rest else Term(word, "", inverse)


def _holds(term: Term, fields: Mapping[str, str]) -> bool:
    value = fields.get(term.field)
    if value is None:
        return term.whole in "\n".join(fields.values()).lower()  # no word has a newline
    return term.word in value.lower()
