"""What the commands print: data on stdout, the rest on stderr, nothing that steers a terminal."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

import click
from nova_client import BlobRef, NovaError

SCHEMA = 1

# controls (but newline and tab), surrogates, line separators, and what turns the writing direction
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape(text: str) -> str:
    """Text from outside, safe to print; newlines and tabs stay."""
    return _UNSAFE.sub(
        lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), text
    )


def escape_line(text: str) -> str:
    """As `escape`, on one line."""
    return escape(text).replace("\n", "\\n").replace("\t", "\\t")


def to_json(value: Any) -> str:
    """Exact, on one line, in ASCII; bytes as {"base64": ...}."""
    return json.dumps(value, default=_plain, separators=(", ", ": "))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names}
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    return str(value)


class Output:
    """Prints for people, or JSON objects that each carry the schema's number."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        #: what an interrupt is answered with
        self.farewell = ""

    def json(self, fields: Mapping[str, Any] | Any) -> None:
        if not isinstance(fields, Mapping):
            fields = _plain(fields)
        click.echo(to_json({"schema": SCHEMA, **cast("Mapping[str, Any]", fields)}))

    def line(self, text: str) -> None:
        click.echo(escape(text))

    def note(self, text: str) -> None:
        click.echo(escape(text), err=True)

    def error(self, error: NovaError) -> None:
        if self.as_json:
            said = {"code": error.code, "message": error.message, "fix": error.fix}
            click.echo(to_json({"schema": SCHEMA, "error": said}), err=True)
            return
        self.note(f"error: {error.message}")
        for more in getattr(error, "__notes__", ()):
            self.note(f"note: {more}")
        if error.fix:
            self.note(f"fix: {error.fix}")

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        cells = [[escape_line(str(cell)) for cell in row] for row in (titles, *rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        for row in cells:
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(padded).rstrip())

    def value(self, value: Any) -> None:
        """A result as a person wants it: text as text, bytes as they are, the rest as JSON."""
        match value:
            case None:
                return
            case str():
                self.line(value)
            case bytes() if sys.stdout.isatty():
                self.note(f"{len(value):,} bytes; send them to a file with > FILE")
            case bytes():
                click.echo(value, nl=False)
            case BlobRef():
                self.line(f"blob {value.id}, {size(value.size_bytes)}")
            case _:
                self.line(json.dumps(value, indent=2, ensure_ascii=False))


def size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def dollars(uusd: float | None) -> str:
    """Of millionths of a US dollar; "?" when nobody knows."""
    if uusd is None:
        return "?"
    whole = uusd / 1e6
    return f"${whole:,.2f}" if whole >= 1 or not uusd else f"${whole:.6f}"


def span(seconds: float) -> str:
    """A length of time in its largest two units at most, e.g. "2m05s"."""
    if seconds < 1:
        return f"{max(0.0, seconds) * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d"
