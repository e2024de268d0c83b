"""Answers against JSON Schemas, in bounded time."""

from __future__ import annotations

import time
from typing import Any

import pytest

from nova_node.models.schema import Unfit, check, parse

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["name"],
        }
    },
    "$ref": "#/$defs/node",
}


CASES: list[tuple[Any, list[Any], list[Any]]] = [
    ({"type": "integer"}, [1, 1.0], [1.5, "1", True, None]),
    ({"type": "number"}, [1, 1.5], ["1", False]),
    ({"type": ["string", "null"]}, ["a", None], [1]),
    ({"type": "boolean"}, [True], [1, 0]),
    ({"enum": ["a", 1]}, ["a", 1, 1.0], ["b", True]),
    ({"const": 0}, [0], [False, 1]),
    ({"minimum": 1, "maximum": 3}, [1, 3, "text"], [0, 4]),
    ({"exclusiveMinimum": 1}, [2], [1]),
    ({"minLength": 2, "maxLength": 3}, ["ab", 5], ["a", "abcd"]),
    ({"type": "array", "items": {"type": "string"}, "minItems": 1}, [["a"]], [[], [1]]),
    ({"prefixItems": [{"type": "string"}], "items": False}, [["a"], []], [["a", 1], [1]]),
    ({"required": ["a"]}, [{"a": 1}, 3], [{}]),
    ({"properties": {"a": {"type": "string"}}}, [{"a": "x", "b": 1}], [{"a": 1}]),
    (
        {"properties": {"a": True}, "additionalProperties": False},
        [{"a": 1}, {}],
        [{"b": 1}],
    ),
    ({"additionalProperties": {"type": "integer"}}, [{"x": 1}], [{"x": "1"}]),
    ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, ["a", 1], [1.5]),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, [1.5], [1, "a"]),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1], [3]),
    ({"not": {"type": "string"}}, [1], ["a"]),
    (TREE, [{"name": "a", "children": [{"name": "b"}]}], [{"name": "a", "children": [{}]}]),
    (True, [1], []),
    (False, [], [1]),
    ({"$ref": "http://models.example/schema.json"}, [1], []),
    ({"type": "no such"}, [], [1]),
    ({"$ref": "#/nowhere"}, [], [1]),
    ({"pattern": "(a+)+$"}, ["a" * 40 + "b"], []),
]


@pytest.mark.parametrize(("schema", "good", "bad"), CASES)
def test_fits_or_not(schema: Any, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        check(value, schema)
    for value in bad:
        with pytest.raises(Unfit, match=r"."):
            check(value, schema)


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}])
def test_a_schema_without_an_end_is_given_up(schema: Any) -> None:
    with pytest.raises(Unfit, match="too long"):
        check(1, schema)


def test_a_schema_that_doubles_is_given_up_soon() -> None:
    twice = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
    began = time.process_time()
    with pytest.raises(Unfit, match="too long"):
        check(1, {"$defs": {**twice, "d40": False}, "$ref": "#/$defs/d0"})
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    "text", ['{"a": 1}', '```json\n{"a": 1}\n```', '```\n{"a": 1}\n```', ' {"a": 1}\n']
)
def test_parses_json_with_or_without_fences(text: str) -> None:
    assert parse(text) == {"a": 1}


@pytest.mark.parametrize("text", ["", "a", '{"a":', "NaN", "Infinity", "[" * 100_000])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(Unfit, match="not JSON"):
        parse(text)
