"""Arguments typed on a command line, by the types that the capability's card gives its parameters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
from nova_client.model import Capability, InputSource, Param

from nova_console.cli.output import escape

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def parse(
    capability: Capability, pairs: Iterable[str], json_args: str | None, inputs: Iterable[str]
) -> tuple[dict[str, Any], dict[str, InputSource]]:
    """Arguments and inputs of a call. Raises click.UsageError naming the parameters."""
    params = {param.name: param for param in capability.params}
    args = _json_object(json_args)
    bound = bind(capability, params, inputs)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in params:
            raise _wrong(capability, f"there is no parameter {name!r}" if equals else _NO_EQUALS)
        match params[name].type:
            case "bytes":
                bound[name] = text.encode()
            case "files":
                raise _wrong(capability, f"{name} takes files: --input {name}=PATH")
            case type_:
                args[name] = _typed(capability, name, type_, text)
    unknown = [name for name in args if name not in params]
    if unknown:
        raise _wrong(capability, f"there is no parameter {unknown[0]!r}")
    missing = [
        param
        for param in capability.params
        if param.required and param.name not in args and param.name not in bound
    ]
    if missing:
        raise _wrong(capability, f"{missing[0].name} is missing: {_how(missing[0])}")
    return args, bound


def edit(capability: Capability, pairs: Iterable[str], json_args: str | None) -> dict[str, Any]:
    """Some arguments in the place of others. Raises click.UsageError naming the parameters."""
    params = {param.name: param for param in capability.params}
    changes = _json_object(json_args)
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in params:
            raise _wrong(capability, f"there is no parameter {name!r}" if equals else _NO_EQUALS)
        changes[name] = _typed(capability, name, params[name].type, text)
    unknown = [name for name in changes if name not in params]
    if unknown:
        raise _wrong(capability, f"there is no parameter {unknown[0]!r}")
    return changes


_NO_EQUALS = "--arg takes name=value"


def bind(
    capability: Capability, params: Mapping[str, Param], inputs: Iterable[str]
) -> dict[str, InputSource]:
    """[name=]PATH by parameter; without a name, the only parameter that takes bytes or files, the only
    one that has to be given, or, where none has to be, the first."""
    fit = [param for param in params.values() if param.type in ("bytes", "files")]
    takers = [param.name for param in fit]
    meant = [param.name for param in fit if param.required] or takers[:1]
    paths: dict[str, list[Path]] = {}
    for given in inputs:
        name, equals, path = given.partition("=")
        if not equals or name not in takers:
            if len(meant) != 1:
                raise _wrong(capability, f"--input {given}: say which parameter, as name=PATH")
            name, path = meant[0], given
        paths.setdefault(name, []).append(Path(path))
    bound: dict[str, InputSource] = {}
    for name, found in paths.items():
        bound[name] = found if params[name].type == "files" else _bytes(capability, name, found)
    return bound


def _bytes(capability: Capability, name: str, paths: list[Path]) -> bytes:
    if len(paths) != 1:
        raise _wrong(capability, f"{name} takes one file")
    try:
        return paths[0].read_bytes()
    except OSError as error:
        raise _wrong(capability, f"cannot read {paths[0]}: {error.strerror}") from None


def _json_object(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        value: Any = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--json-args is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError("--json-args takes an object, e.g. '{\"seconds\": 1}'")
    return value  # pyright: ignore[reportUnknownVariableType]


def _json_or_word(text: str) -> Any:
    """JSON, or a bare word as it is; what begins like JSON must be JSON."""
    try:
        return json.loads(text)
    except ValueError:
        if text[:1] in ("{", "[", '"'):
            raise
        return text


def _bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError


_READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": _bool,
    "json": _json_or_word,
}


def _typed(capability: Capability, name: str, type_: str, text: str) -> Any:
    try:
        return _READERS.get(type_, _json_or_word)(text)
    except ValueError:
        raise _wrong(capability, f"{name} takes {type_}, not {text!r}") from None


def signature(capability: Capability) -> str:
    """E.g. "text.words files:files [deep:bool]"."""
    parts = [
        f"{param.name}:{param.type}" if param.required else f"[{param.name}:{param.type}]"
        for param in capability.params
    ]
    return " ".join([capability.name, *parts])


def _how(param: Param) -> str:
    if param.type == "files":
        return f"--input {param.name}=PATH"
    return f"--arg {param.name}={param.type.upper()}"


def _wrong(capability: Capability, message: str) -> click.UsageError:
    return click.UsageError(escape(f"{message}\nParameters: {signature(capability)}"))
