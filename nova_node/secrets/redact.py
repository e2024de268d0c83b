"""Secret values out of what an attempt says and returns: each becomes "[secret NAME]".

Standard library only: worker processes use it too. Rule: a value is found as it is and in the forms that
programs give it without meaning to hide it (`forms`); who hides one on purpose is not stopped by this.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any, cast
from urllib.parse import quote, quote_plus

LENGTH_MIN = 4
"""A shorter value stands in too much that is none."""

BYTES_MAX = 16 << 10
LINE_MIN = 8
_BASE64_MIN = 6
_START = 16


class Revealed(dict[str, str]):
    """Values by the names under which a capability asks for them. Shows the names alone."""

    def __repr__(self) -> str:
        return f"Revealed({', '.join(self)})"


class Redactor:
    """`values` are pairs of a name and a value."""

    def __init__(self, values: Iterable[tuple[str, str]]) -> None:
        marks: dict[bytes, bytes] = {}
        for name, value in values:
            for form in forms(value):
                marks.setdefault(form.encode(), f"[secret {name}]".encode())
        self._marks = sorted(marks.items(), key=lambda pair: -len(pair[0]))
        self._longest = max((len(form) for form in marks), default=0)
        starts = {re.escape(form[:_START]) for form in marks}
        self._starts = re.compile(b"(?=" + b"|".join(sorted(starts)) + b")")

    def data(self, data: bytes) -> bytes:
        for form, mark in self._marks:
            if form in data:
                data = data.replace(form, mark)
        return data

    def text(self, text: str) -> str:
        return self.data(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")

    def json(self, data: bytes) -> bytes:
        """JSON stays JSON: a number that holds a value becomes text, and if a value stretches over
        more than one text or number, the whole becomes text."""
        if self.data(data) == data:
            return data
        try:
            found = json.loads(data, parse_int=self._number(int), parse_float=self._number(float))
            clean = json.dumps(self._walk(found), separators=(",", ":")).encode()
            if self.data(clean) == clean:
                return clean
        except (ValueError, RecursionError):
            pass
        return json.dumps(self.data(data).decode(errors="replace")).encode()

    def pour(self, data: bytes) -> tuple[bytes, bytes]:
        """For what comes in pieces: `data` redacted, without an end that may be the start of a
        value; and that end, to be put before the next piece."""
        at = self._open_end(data)
        for form, _ in self._marks if at < len(data) else ():
            spans = data.find(form, max(0, at - len(form) + 1), at + len(form) - 1)
            if 0 <= spans < at:
                at = spans
        return self.data(data[:at]), data[at:]

    def _open_end(self, data: bytes) -> int:
        """Where the longest end begins with which a form begins too; else the length."""
        size = len(data)
        first = max(0, size - self._longest + 1)
        candidates = [found.start() for found in self._starts.finditer(data, first)]
        for at in (*candidates, *range(max(first, size - _START + 1), size)):
            end = data[at:]
            if any(len(form) > len(end) and form.startswith(end) for form, _ in self._marks):
                return at
        return size

    def _number(self, kind: Callable[[str], object]) -> Callable[[str], object]:
        def read(text: str) -> object:
            clean = self.text(text)
            return kind(text) if clean == text else clean

        return read

    def _walk(self, value: object) -> object:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._walk(each) for each in cast("list[Any]", value)]
        if isinstance(value, dict):
            pairs = cast("dict[str, Any]", value).items()
            return {self.text(key): self._walk(each) for key, each in pairs}
        return value


def forms(value: str) -> set[str]:
    """The value, and what it looks like in JSON (also in JSON inside JSON), in Python's `repr`, in a
    URL, in hex, inside base64 (any of its three alignments), and line by line."""
    escaped = _in_json(value)
    found = {value, *escaped, *(again for each in escaped for again in _in_json(each))}
    found.add(repr(value)[1:-1])
    quoted = (quote(value), quote(value, ""), quote_plus(value), quote(value, "!'()*~"))
    found.update(quoted, (re.sub("%..", lambda code: code[0].lower(), each) for each in quoted))
    data = value.encode()
    found |= {data.hex(), data.hex().upper()}
    for text in _in_base64(data):
        found |= {text, text.replace("+", "-").replace("/", "_")}
    found.update(line for line in value.splitlines() if len(line) >= LINE_MIN)
    return found


def _in_json(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]


def _in_base64(data: bytes) -> set[str]:
    """Of a value by itself, and the signs that it alone decides within something longer."""
    found = {b64encode(data).decode().rstrip("=")}
    for before, start in ((0, 0), (1, 2), (2, 3)):
        end = (before + len(data)) * 8 // 6
        inside = b64encode(bytes(before) + data).decode()[start:end]
        if len(inside) >= _BASE64_MIN:
            found.add(inside)
    return found
