"""The SQL that asks the history for ended tasks: a page of them, and how many there are in all. Pure.

Rule: whatever a person typed reaches the statement through `_text` only. What it finds is what
filters.Filter lets pass of filters.task_fields; a name that is of no node now is not known to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from nova_client.errors import Invalid
from nova_client.filters import Filter, Term
from nova_client.model import TAG_LENGTH

ENDS = ("done", "failed", "cancelled")
PHASES = ("run", "split", "merge")

FIELDS = ("id", "status", "cap", "node", "why", "phase")

COLUMNS = (
    *("no", "parent_no", "capability", "phase", "status", "worker", "submitter", "durability"),
    *("attempts", "elapsed_us", "code"),
    *("epoch_us(accepted_at) AS accepted_us", "epoch_us(started_at) AS started_us"),
    "epoch_us(ended_at) AS ended_us",
)
_TAG = f"left(id, {TAG_LENGTH})"
_ORDER = "accepted_at DESC, no DESC, seq DESC"

NO_DIGITS_MAX = 18
SQL_MAX_CHARS = 20_000
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_DIGITS = re.compile("[0-9]*")
_MARK = re.compile(rf"(\d{{1,18}})/([a-z0-9]{{1,{TAG_LENGTH}}})-(\d{{1,18}})")


class Place(NamedTuple):
    """Of a task in the order of lists; newer ones are greater. `accepted_us`: microseconds."""

    accepted_us: int
    tag: str
    no: int

    @property
    def mark(self) -> str:
        """To go on from here later; `placed` reads it."""
        return f"{self.accepted_us}/{self.tag}-{self.no}"


def placed(mark: str) -> Place:
    """Raises Invalid."""
    found = _MARK.fullmatch(mark)
    if found is None:
        raise Invalid(f"no page begins at {mark[:80]!r}", "give what an earlier page told as next")
    return Place(int(found[1]), found[2], int(found[3]))


def page(
    wanted: Filter, names: Mapping[str, str], children: bool, before: Place | None, rows: int
) -> str:
    """The `rows` newest before a place, and one row of which only `total` is set: all that match,
    whatever `before`. `names` of all nodes by id. Raises Invalid: the filter is too long."""
    terms = [_condition(term, names) for term in wanted.terms]
    which = " AND ".join([*(() if children else ("parent_no = 0",)), *terms]) or "true"
    sql = _with_total(which, _before(before) if before else "true", rows)
    if len(sql) > SQL_MAX_CHARS:
        raise Invalid("the filter is too long", "use fewer words, or whole names of nodes")
    return sql


def one(id: str, rows: int) -> str:
    """Every end of one task, the latest first. Raises Invalid: not an id."""
    tag, _, no = id.rpartition("-")
    if not tag or not no.isdecimal() or len(no) > NO_DIGITS_MAX:
        raise Invalid(f"not a task id: {id[:80]!r}", "an id looks like k7q2m9xd-42")
    return _with_total(f"no = {int(no)} AND id = {_text(id)}", "true", rows)


def asks_for_nodes(wanted: Filter) -> bool:
    """Whether names of nodes matter to it."""
    return any(term.field in ("node", "id") or _is_plain(term) for term in wanted.terms)


def _with_total(which: str, before: str, rows: int) -> str:
    return (
        f"WITH found AS NOT MATERIALIZED (SELECT * FROM tasks WHERE {which})"
        f" (SELECT {', '.join(COLUMNS)} FROM found WHERE {before} ORDER BY {_ORDER} LIMIT {rows})"
        " UNION ALL BY NAME SELECT count(*) AS total FROM found"
    )


def _before(place: Place) -> str:
    at = f"make_timestamp({place.accepted_us})"
    older = f"{_TAG} < {_text(place.tag)} OR {_TAG} = {_text(place.tag)} AND no < {place.no}"
    return f"(accepted_at < {at} OR accepted_at = {at} AND ({older}))"


# ---------------------------------------------------------------- one term


def _condition(term: Term, names: Mapping[str, str]) -> str:
    if _is_plain(term):
        parts = [_field(name, term.whole, names) for name in FIELDS]
    else:
        parts = [_field(term.field, term.word, names)]
    found = " OR ".join(part for part in parts if part != "false") or "false"
    return f"{'NOT ' if term.inverse else ''}({found})"


def _is_plain(term: Term) -> bool:
    return term.field not in FIELDS


def _field(name: str, word: str, names: Mapping[str, str]) -> str:
    """Whether the word is in the field of a row."""
    match name:
        case "id":
            return _id(word, names)
        case "status":
            return _word_of("status", word, ENDS)
        case "phase":
            return _word_of("phase", word, PHASES)
        case "cap":
            return _contains("capability", word)
        case "why":
            return _contains("code", word)
        case _:
            return _node(word, names)


def _id(word: str, nodes: Iterable[str]) -> str:
    """In a tag, a dash, and a number. What is of a row's owner alone is asked only when it is some
    node's: text made for each row is most of what a question costs."""
    tags = {node[:TAG_LENGTH] for node in nodes}
    end, dash, begin = word.partition("-")
    if dash:
        if not any(tag.endswith(end) for tag in tags) or not _DIGITS.fullmatch(begin):
            return "false"
        mine = f"ends_with({_TAG}, {_text(end)}) AND " if end else ""
        return f"{mine}({_begins(begin)})"
    parts = [_contains(_TAG, word)] if any(word in tag for tag in tags) else []
    if _DIGITS.fullmatch(word):
        parts.append(_contains("no::VARCHAR", word))
    return " OR ".join(parts) or "false"


def _begins(digits: str) -> str:
    """Whether the number of a row begins with these: as ranges, which cost no text."""
    if not digits:
        return "true"
    first, more = int(digits), range(NO_DIGITS_MAX - len(digits) + 1)
    parts = [f"no BETWEEN {first * 10**n} AND {(first + 1) * 10**n - 1}" for n in more]
    return " OR ".join(parts) if parts and digits[0] != "0" else "false"


def _node(word: str, names: Mapping[str, str]) -> str:
    """In its id, or in its name when that is known."""
    named = [node for node, name in names.items() if word in name.lower() and word not in node]
    parts = [_contains("worker", word), *([_one_of("worker", named)] if named else [])]
    return " OR ".join(parts)


def _word_of(column: str, word: str, values: Sequence[str]) -> str:
    """`values` are all that the column can hold."""
    found = [value for value in values if word in value]
    if len(found) == len(values):
        return "true"
    return _one_of(column, found) if found else "false"


def _one_of(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(map(_text, values))})"


def _contains(column: str, word: str) -> str:
    return f"contains({column}, {_text(word)})"


def _text(value: str) -> str:
    """Text that is not to be had in SQL is in no row either."""
    return "'" + _NO_TEXT.sub("\ufffd", value).replace("'", "''") + "'"
