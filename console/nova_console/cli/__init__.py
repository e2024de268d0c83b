"""The `nova` command. Each command has a file of its own, loaded when it is used."""

from __future__ import annotations

import importlib
import io
import sys

import click

COMMANDS = {
    "run": "Run a capability and print its result.",
    "tasks": "List the tasks of the mesh, newest first.",
    "show": "Show all that is known of a task.",
    "logs": "Print what a task wrote.",
    "cancel": "Ask for the end of a task and its shards.",
    "requeue": "Give dead letters fresh attempts, or edited arguments.",
    "flow": "Draw how a split task runs: chart, critical path, forecast.",
    "explain": "Tell why a task is where it is.",
    "watch": "Follow what happens on the node.",
    "nodes": "List the nodes of the mesh.",
    "drain": "Let a node finish what it runs and take nothing new.",
    "resume": "End a drain: the node takes work again.",
    "capabilities": "List what the mesh can do.",
    "top": "Show the load of the nodes, live.",
    "stats": "Tell how the mesh did over a while.",
    "sql": "Ask the recorded history of all nodes.",
    "models": "List the models of the mesh.",
    "costs": "Tell what models cost.",
    "library": "List functions that models wrote, or find some.",
    "openai": "Offer the mesh's models to clients of OpenAI's protocol.",
    "console": "Watch and steer the mesh on the whole terminal.",
    "login": "Become a member of a mesh, with a token.",
    "completion": "Print the completion script of a shell.",
}


class LazyGroup(click.Group):
    """Knows its commands by name; imports one only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"nova_console.cli.{cmd_name}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="nova-mesh", prog_name="nova")
@click.option("--node", metavar="HOST:PORT", help="The node to ask; the local one by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def cli(ctx: click.Context, node: str | None, as_json: bool) -> None:
    """Run and follow tasks on a mesh of Nova nodes.

    Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 no node answers, 4 timeout, 5 refused,
    130 interrupted.
    """
    ctx.obj = (node, as_json)


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="nova")
