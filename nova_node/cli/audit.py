"""`audit verify | tail`: who did what on this node, and whether that log is what was written."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nova_node.cli.authority import (
    data_dir_of,
    data_dir_options,
    json_option,
    own_credentials,
    refusals,
)
from nova_node.cli.fault import EXIT_FAILED, printable
from nova_node.core.errors import NotFound, Unavailable

if TYPE_CHECKING:
    from nova_node.audit.heads import Head
    from nova_node.audit.verify import Verdict

FOLLOW_EVERY_S = 0.5
_FIXED = frozenset({"no", "time", "who", "from", "what", "subject", "prev"})


@click.group()
def audit() -> None:
    """Who submitted, cancelled, joined, was revoked or refused: the node's own log of it."""


@audit.command()
@click.option(
    "--head",
    "head_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    help="What a peer keeps of this log: audit_heads/NODE.json in its data directory. Repeatable.",
)
@data_dir_options
@json_option
def verify(
    head_files: tuple[str, ...], data_dir: str | None, config_path: str | None, as_json: bool
) -> None:
    """Find out whether lines were edited, deleted, reordered, cut off or put back.

    Ends with 1 when something is wrong.
    """
    from nova_node.audit.verify import verify as check

    folder = data_dir_of(data_dir, config_path)
    _require_log(folder)
    heads = _heads(folder, head_files)
    try:
        verdict = check(folder, heads)
    except OSError as error:
        raise Unavailable(f"the audit log cannot be read: {error}", "check the disk") from error
    if as_json:
        findings = [finding._asdict() for finding in verdict.findings]
        fields = {**verdict._asdict(), "findings": findings, "sound": verdict.sound}
        click.echo(json.dumps({"schema": 1, **fields}, indent=2))
    else:
        _show(verdict, heads)
    if not verdict.sound:
        raise click.exceptions.Exit(EXIT_FAILED)


def _show(verdict: Verdict, heads: list[Head]) -> None:
    for finding in verdict.findings:
        click.echo(printable(f"{finding.kind}: {finding.text}"))
    span = f"lines {verdict.first} to {verdict.last} in {verdict.files} files"
    if not verdict.sound:
        click.echo(f"{span}: NOT what was written")
        click.echo("next: keep these files, and compare them with a backup", err=True)
        return
    click.echo(f"{span}: each follows the one before, and {verdict.heads} signed heads agree")
    if heads:
        newest = max(heads, key=lambda head: head.count)
        after = verdict.last - newest.count
        click.echo(f"the newest head is of line {newest.count}; {after} came after it")
    else:
        click.echo(
            "there is no signed head, so lines cut from the end would not show: a node with"
            " identity signs one a minute",
            err=True,
        )


@audit.command()
@click.option("-n", "count", type=click.IntRange(0, 100_000), default=20, show_default=True)
@click.option("-f", "follow", is_flag=True, help="Go on as lines come.")
@data_dir_options
@json_option
def tail(
    count: int, follow: bool, data_dir: str | None, config_path: str | None, as_json: bool
) -> None:
    """Show the last lines."""
    from nova_node.audit.log import tail as last_lines

    folder = data_dir_of(data_dir, config_path)
    _require_log(folder)
    shown = last_lines(folder, max(count, 1))
    last = shown[-1]["no"] if shown else 0
    for values in shown if count else ():
        _echo(values, as_json)
    if follow:
        for values in _after(folder, last):
            _echo(values, as_json)


def _after(folder: Path, last: int) -> Iterator[Mapping[str, Any]]:
    """Lines as they come, for ever. Reads the files again only when they have changed."""
    from nova_node.audit.lines import LOG
    from nova_node.audit.log import follow

    yield from follow(folder / LOG, last, lambda: time.sleep(FOLLOW_EVERY_S))


def _echo(values: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(values))
        return
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(values.get("time", 0))))
    details = " ".join(f"{key}={value}" for key, value in values.items() if key not in _FIXED)
    words = [at, values.get("who") or "-", values.get("from") or "-", values.get("what")]
    words += [values.get("subject"), details]
    click.echo(printable("  ".join(str(word) for word in words if word)).replace("\n", " "))


def _require_log(folder: Path) -> None:
    from nova_node.audit.heads import FOLDER
    from nova_node.audit.lines import files_of

    if not files_of(folder) and not (folder / FOLDER).exists():
        raise NotFound(f"there is no audit log in {folder}", "name the node's folder: --data-dir")


def _heads(folder: Path, files: tuple[str, ...]) -> list[Head]:
    """Of this node's log, each signed by it. Raises NovaError."""
    from nova_node.audit.heads import FOLDER, read_head
    from nova_node.audit.heads import verify as check_signature

    with refusals():
        own = own_credentials(folder)
    if own is None:
        return []
    kept = folder / FOLDER / f"{own.name.id}.json"
    paths = [kept] if kept.exists() else []
    heads = [read_head(path) for path in (*paths, *map(Path, files))]
    for head in heads:
        check_signature(head, own.chain[0])
    return heads
