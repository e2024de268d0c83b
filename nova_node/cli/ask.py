"""`status`, `drain` and `resume`: what is asked of a node that runs."""

from __future__ import annotations

import json
from typing import Any

import click

from nova_node.cli.fault import EXIT_FAILED, printable
from nova_node.core.errors import Invalid, NovaError, Refused, Unavailable

STATUS_TIMEOUT_S = 5.0
DRAIN_MARGIN_S = 5.0
STOPPED_EVERY_S = 0.05

_node_option = click.option(
    "--node",
    metavar="NODE",
    envvar="NOVA_NODE",
    help="HOST:PORT, or the name or id of a node on this machine.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.command()
@_node_option
@_json_option
def status(node: str | None, as_json: bool) -> None:
    """Show the nodes that run on this machine, or the one named."""
    from nova_node.adapters import nodes_grpc

    address = _address_of(node) if node else ""
    asked = {address: address} if node else {n.address: n.asked_at for n in _local_nodes()}
    if not asked:
        raise _none_runs()
    views: list[dict[str, Any]] = []
    for address, place in asked.items():
        try:
            views.append({"address": address, **nodes_grpc.status(place, STATUS_TIMEOUT_S)})
        except NovaError as error:
            if len(asked) == 1:
                raise
            views.append({"address": address, "error": error.message})
    if as_json:
        click.echo(json.dumps({"schema": 1, "nodes": views}, indent=2))
    else:
        click.echo("\n\n".join(_shown(view) for view in views))


@click.command()
@_node_option
@click.option("--stay", is_flag=True, help="Leave the node running, without new work.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for what runs.",
)
@_json_option
def drain(node: str | None, stay: bool, timeout_s: float, as_json: bool) -> None:
    """Let a node finish what it runs and take nothing new; then stop it."""
    from nova_node.adapters import nodes_grpc

    address = _address_of(node) if node else _only_local_node()
    click.echo(f"draining {address}, for at most {timeout_s:g} s ...", err=True)
    try:
        left = nodes_grpc.drain(address, stay, timeout_s, timeout_s + DRAIN_MARGIN_S)
    except Refused:
        pid = next((n.pid for n in _local_nodes() if n.is_at(address)), 0)
        if stay or not pid:
            raise
        # no admin of the mesh, but whose process it is
        left = _stop(pid, timeout_s)
    if as_json:
        click.echo(json.dumps({"schema": 1, "address": address, "left_running": left}))
    elif left:
        click.echo(f"{left} attempts were still running after {timeout_s:g} s")
    else:
        click.echo("drained" if stay else "drained, stopping")
    if left:
        raise click.exceptions.Exit(EXIT_FAILED)


@click.command()
@_node_option
@_json_option
def resume(node: str | None, as_json: bool) -> None:
    """End a drain: the node takes work again."""
    from nova_node.adapters import nodes_grpc

    address = _address_of(node) if node else _only_local_node()
    was_draining = nodes_grpc.resume(address, STATUS_TIMEOUT_S)
    if as_json:
        document = {"schema": 1, "address": address, "was_draining": was_draining}
        click.echo(json.dumps(document))
    else:
        click.echo("takes work again" if was_draining else "it was not draining")


def _stop(pid: int, timeout_s: float) -> int:
    """Let a node of this user drain and stop. Raises Unavailable when it takes too long."""
    import signal
    import time

    import psutil

    end = time.monotonic() + timeout_s
    try:
        process = psutil.Process(pid)
        process.send_signal(signal.SIGTERM)
        # one that has ended stays a zombie until its parent looks
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > end:
                fix = f"wait longer with --timeout, or end it at once: kill -9 {pid}"
                raise Unavailable(f"the node still drains after {timeout_s:g} s", fix)
            time.sleep(STOPPED_EVERY_S)
    except psutil.NoSuchProcess:
        pass
    return 0


def _local_nodes() -> list[Any]:
    from nova_node.adapters import local_nodes

    return list(local_nodes.running(local_nodes.nodes_dir()))


def _address_of(node: str) -> str:
    """A name or id of a local node, else HOST:PORT."""
    matches = [n.asked_at for n in _local_nodes() if node in (n.name, n.node)]
    if len(matches) > 1:
        raise Invalid(f"{len(matches)} nodes are named {node}", f"use one of {', '.join(matches)}")
    if matches:
        return str(matches[0])
    from nova_node.address import parse_address

    return str(parse_address(node))


def _only_local_node() -> str:
    nodes = _local_nodes()
    if not nodes:
        raise _none_runs()
    if len(nodes) > 1:
        choices = ", ".join(f"{n.name} ({n.address})" for n in nodes)
        raise Invalid(f"{len(nodes)} nodes run here", f"name one with --node: {choices}")
    return str(nodes[0].asked_at)


def _none_runs() -> NovaError:
    fix = "start one with `nova-node start`, or name one elsewhere with --node HOST:PORT"
    return Unavailable("no node of yours runs on this machine", fix)


def _shown(view: dict[str, Any]) -> str:
    if "error" in view:
        return printable(f"{view['address']}: {view['error']}")
    rows = (
        ("node", f"{view['name']} ({view['node']})"),
        ("address", view["address"]),
        ("mesh", f"{view['mesh']}, protocol {view['protocol']}, version {view['version']}"),
        ("tasks", "{waiting} waiting, {running} running, {done} done, {failed} failed"),
        ("slots", "{slots_free} of {slots} free" + (", draining" if view["draining"] else "")),
        ("up", f"{view['up_s']:.0f} s, {view['lag_ms']:.1f} ms behind"),
        ("memory", f"{view['rss_bytes'] / 1e6:.0f} MB"),
        (
            "disk",
            f"journal {view['journal_bytes'] / 1e6:.1f} MB, blobs {view['blob_bytes'] / 1e6:.1f} MB",
        ),
        ("data", view["data_dir"]),
        ("process", view["pid"]),
    )
    named = {"tasks", "slots"}
    return "\n".join(
        f"{key:<8} {printable(str(text).format(**view) if key in named else str(text))}"
        for key, text in rows
    )
