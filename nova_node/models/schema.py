"""Whether a value is of the form that a JSON Schema asks for. Pure, and bounded in its steps.

What cannot be checked in bounded time (`pattern`, `format`, references beyond the schema itself) passes:
the model was told of it, and the caller may look again.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

STEPS_MAX = 200_000
DEPTH_MAX = 64
SCHEMA_MAX_BYTES = 256 << 10

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_FENCED = re.compile(r"\s*```(?:json)?\s*\n(.*)\n\s*```\s*", re.DOTALL)


class Unfit(Exception):
    """Says where a value differs from its schema."""


def parse(text: str) -> Any:
    """The JSON in an answer, which may stand between fences. Raises Unfit."""
    fenced = _FENCED.fullmatch(text)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Unfit(f"it is not JSON: {error}") from None


def check(value: Any, schema: Any) -> None:
    """Raises Unfit."""
    _Checker(schema).check(value, schema, "answer", 0)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number")


class _Checker:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps = 0

    def check(self, value: Any, schema: Any, at: str, depth: int) -> None:
        self._steps += 1
        if self._steps > STEPS_MAX or depth > DEPTH_MAX:
            raise Unfit("the schema takes too long to check")
        if schema is False:
            raise Unfit(f"{at} must not be there")
        words = _object(schema)
        if words is None:
            return
        _plain(value, words, at)
        if isinstance(reference := words.get("$ref"), str):
            self.check(value, self._resolve(reference), at, depth + 1)
        self._combined(value, words, at, depth + 1)
        for child, child_schema, name in _children(value, words, at):
            self.check(child, child_schema, name, depth + 1)

    def _combined(self, value: Any, schema: Mapping[str, Any], at: str, depth: int) -> None:
        for each in _list(schema, "allOf"):
            self.check(value, each, at, depth)
        for word in ("anyOf", "oneOf"):
            choices = _list(schema, word)
            fits = sum(self._fits(value, each, at, depth) for each in choices)
            if choices and (not fits or (word == "oneOf" and fits > 1)):
                raise Unfit(f"{at} fits {fits} of its {word}")
        if "not" in schema and self._fits(value, schema["not"], at, depth):
            raise Unfit(f"{at} is what it must not be")

    def _fits(self, value: Any, schema: Any, at: str, depth: int) -> bool:
        try:
            self.check(value, schema, at, depth)
        except Unfit:
            if self._steps > STEPS_MAX:
                raise
            return False
        return True

    def _resolve(self, reference: str) -> Any:
        found = self._root
        if not reference.startswith("#"):
            return True
        for part in reference[1:].split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            inside = _object(found) or {}
            if key not in inside:
                raise Unfit(f"the schema has no {reference[:100]}")
            found = inside[key]
        return found


def _plain(value: Any, schema: Mapping[str, Any], at: str) -> None:
    """What needs no look inside. Raises Unfit."""
    kinds = schema.get("type")
    named: list[Any] = [kinds] if isinstance(kinds, str) else _list(schema, "type")
    if named and not any(_is(value, str(kind)) for kind in named):
        raise Unfit(f"{at} is not {' or '.join(map(str, named))}")
    if "const" in schema and not _same(value, schema["const"]):
        raise Unfit(f"{at} is not {json.dumps(schema['const'])[:100]}")
    choices = _list(schema, "enum")
    if choices and not any(_same(value, each) for each in choices):
        raise Unfit(f"{at} is none of {json.dumps(choices)[:100]}")
    for word, measure, fits in _BOUNDS:
        bound, found = _number(schema.get(word)), measure(value)
        if bound is not None and found is not None and not fits(found, bound):
            raise Unfit(f"{at}: {word} is {bound}")
    inside = _object(value)
    if inside is not None:
        for name in _list(schema, "required"):
            if name not in inside:
                raise Unfit(f"{at} has no {name!r}")


def _children(value: Any, schema: Mapping[str, Any], at: str) -> Iterator[tuple[Any, Any, str]]:
    """Each part of the value, and the schema that is its own."""
    inside = _object(value)
    if inside is not None:
        known = _object(schema.get("properties")) or {}
        others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        for name, child in inside.items():
            yield child, known.get(name, others), f"{at}.{name[:60]}"
    elif isinstance(value, list):
        first = _list(schema, "prefixItems")
        rest = schema.get("items", True)
        for i, child in enumerate(cast("list[Any]", value)):
            yield child, first[i] if i < len(first) else rest, f"{at}[{i}]"


def _object(value: Any) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES.get(kind, ()))


def _same(one: Any, other: Any) -> bool:
    """1 is 1.0 and is not true."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    return one == other


def _list(schema: Mapping[str, Any], word: str) -> list[Any]:
    found = schema.get(word)
    return cast("list[Any]", found) if isinstance(found, list) else []


def _number(value: Any) -> float | None:
    return value if _is(value, "number") else None


def _length(kind: type) -> Callable[[Any], float | None]:
    def measure(value: Any) -> float | None:
        return len(value) if isinstance(value, kind) else None

    return measure


_Bound = tuple[str, Callable[[Any], float | None], Callable[[Any, Any], bool]]

_BOUNDS: tuple[_Bound, ...] = (
    ("minimum", _number, operator.ge),
    ("maximum", _number, operator.le),
    ("exclusiveMinimum", _number, operator.gt),
    ("exclusiveMaximum", _number, operator.lt),
    ("minLength", _length(str), operator.ge),
    ("maxLength", _length(str), operator.le),
    ("minItems", _length(list), operator.ge),
    ("maxItems", _length(list), operator.le),
    ("minProperties", _length(dict), operator.ge),
    ("maxProperties", _length(dict), operator.le),
)
