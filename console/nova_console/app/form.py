"""A form for the arguments of a capability, from its card: what fields, and what they add up to. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
from nova_client import Invalid
from nova_client.model import Capability, InputSource, Param

from nova_console.cli import args


@dataclass(frozen=True, slots=True)
class Field:
    """`text` is what it starts with; `toggle` is for yes or no."""

    name: str
    label: str
    hint: str
    text: str
    toggle: bool


@dataclass(frozen=True, slots=True)
class Filled:
    """`paths` are the files and folders named, by parameter."""

    args: Mapping[str, Any]
    inputs: Mapping[str, InputSource]
    paths: Mapping[str, str]


def fields(card: Capability, given: Mapping[str, Any]) -> list[Field]:
    """In the card's order; `given` are values to start with."""
    return [_field(param, given) for param in card.params]


def _field(param: Param, given: Mapping[str, Any]) -> Field:
    value = given.get(param.name, None if param.required else param.default)
    what = {"files": "path of a file or folder", "json": "JSON, or a word"}.get(
        param.type, param.type
    )
    needed = "" if param.required else ", may stay empty"
    doc = f"{param.doc}; " if param.doc else ""
    return Field(
        param.name,
        f"{param.name}{'*' if param.required else ''}",
        f"{doc}{what}{needed}",
        _text(param, value),
        param.type == "bool",
    )


def _text(param: Param, value: Any) -> str:
    if value is None or param.type in ("bytes", "files"):
        return ""
    return value if isinstance(value, str) and param.type == "str" else json.dumps(value)


def fill(card: Capability, texts: Mapping[str, str]) -> Filled:
    """From what was typed; empty fields are left out unless they are needed. Raises Invalid."""
    types = {param.name: param.type for param in card.params}
    needed = {param.name for param in card.params if param.required and param.type == "str"}
    typed = {name: text for name, text in texts.items() if text or name in needed}
    paths = {name: text for name, text in typed.items() if types[name] == "files"}
    pairs = [f"{name}={text}" for name, text in typed.items() if name not in paths]
    try:
        given, bound = args.parse(
            card, pairs, None, [f"{name}={path}" for name, path in paths.items()]
        )
    except click.UsageError as error:
        raise Invalid(error.message.partition("\n")[0], "correct the field") from None
    return Filled(given, bound, paths)
