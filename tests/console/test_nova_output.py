"""Nothing from outside steers the terminal, and JSON stays exact."""

from __future__ import annotations

import json

import pytest
from nova_client.model import Progress
from nova_console.cli.output import Output, escape, escape_line, size, span, to_json
from nova_console.cli.progress import render


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("a\rb\x07\x7f\x9b", "a\\rb\\x07\\x7f\\x9b"),
        ("\u202eevil\u2066", "\\u202eevil\\u2066"),
        ("torn \ud800", "torn \\ud800"),
        ("keeps\n\tüñ 😀", "keeps\n\tüñ 😀"),
    ],
)
def test_escape(text: str, shown: str):
    assert escape(text) == shown


def test_a_cell_stays_on_its_line():
    assert escape_line("a\nb\tc") == "a\\nb\\tc"


def test_json_is_exact_and_ascii():
    value = {"text": "\x1b[2J\u202e😀", "raw": b"\x00\xff"}
    text = to_json(value)
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text) == {"text": "\x1b[2J\u202e😀", "raw": {"base64": "AP8="}}


def test_a_table_is_aligned(capsys: pytest.CaptureFixture[str]):
    Output(False).table(("A", "B"), [("long\x1b", 1), ("x", 22)])
    assert capsys.readouterr().out == "A         B\nlong\\x1b  1\nx         22\n"


def test_sizes_and_spans():
    assert [size(n) for n in (0, 1023, 1536, 5 << 30)] == ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
    spans = [span(s) for s in (-1, 0.25, 2, 125, 3_720, 400_000)]
    assert spans == ["0ms", "250ms", "2.0s", "2m05s", "1h02m", "4d"]


def test_progress_counts_parts():
    assert render(Progress(0, 0), 2.0) == "running, 2.0s"
    half = render(Progress(1, 2), 2.0)
    assert half == f"[{'#' * 15}{'-' * 15}] 1 of 2 parts, 2.0s"
