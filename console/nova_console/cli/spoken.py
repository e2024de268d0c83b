"""The text of a model, printed as it comes, and what it took, once it is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from nova_client.model import LogLine, Outcome

from nova_console.cli.output import Output, dollars, escape, to_json


class Spoken:
    """An attempt that begins again is printed again, after a note that says so."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._attempt = 0
        self._told = ""

    def hear(self, line: LogLine) -> None:
        if line.stderr:
            click.echo(escape(line.text), err=True, nl=False)
            return
        if line.attempt != self._attempt:
            self._begin(line.attempt)
        self._say(line.text)

    def end(self, outcome: Outcome, result: Mapping[str, Any]) -> None:
        text = str(result.get("text") or "")
        if text != self._told:
            if not text.startswith(self._told):
                self._begin(outcome.attempt)
            self._say(text[len(self._told) :])
        if self._told and not self._told.endswith("\n"):
            click.echo()
        for call in result.get("tool_calls") or ():
            self._out.line(to_json(call))
        self._out.note(took(outcome, result))

    def _begin(self, attempt: int) -> None:
        if self._told:
            click.echo()
            self._out.note(f"(that attempt was lost; attempt {attempt} begins again)")
        self._attempt, self._told = attempt, ""

    def _say(self, text: str) -> None:
        self._told += text
        click.echo(escape(text), nl=False)


def took(outcome: Outcome, result: Mapping[str, Any]) -> str:
    """E.g. "fake on node k7q2m9xd: 10 + 5 tokens, $0.000020; cache: exact"."""
    used, cost = result["usage"], result.get("cost_usd")
    money = dollars(None if cost is None else cost * 1e6)
    cache = f"; cache: {result['cache']}" if result.get("cache") else ""
    cut = "; cut off at max_tokens" if result.get("finish") == "length" else ""
    return (
        f"{result['model']} on node {outcome.node[:8]}: {used['input_tokens']:,} +"
        f" {used['output_tokens']:,} tokens, {money}{cache}{cut}"
    )
