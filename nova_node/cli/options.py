"""The options that set a node's config, shared by the commands that read it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from nova_node.config import Loaded

Command = TypeVar("Command", bound=Callable[..., Any])

#: parameter of the command -> key of the setting
_KEYS = {
    "listen": "listen",
    "advertise": "advertise",
    "join_listen": "join_listen",
    "name": "name",
    "mesh": "mesh",
    "data_dir": "data_dir",
    "peer": "peers",
    "mdns": "mdns",
    "interface": "interfaces",
    "slots": "slots",
    "label": "labels",
    "capability": "capabilities",
    "metrics": "metrics",
    "openai": "openai",
    "model": "models.use",
}

_OPTIONS = (
    click.option("--listen", metavar="HOST:PORT", help="Serve here.  [default: 127.0.0.1:7600]"),
    click.option("--advertise", metavar="HOST:PORT", help="Others reach this node here."),
    click.option("--join-listen", metavar="HOST:PORT", help="Let others into the mesh here."),
    click.option("--name", help="What people call this node.  [default: the host's name]"),
    click.option("--mesh", help="Name of the mesh.  [default: nova]"),
    click.option("--data-dir", metavar="FOLDER", help="Journal and blobs; one node each."),
    click.option("--peer", metavar="HOST:PORT", multiple=True, help="A node to join. Repeatable."),
    click.option("--mdns/--no-mdns", default=None, help="Find nodes on the local network."),
    click.option("--interface", multiple=True, help="Network interface for mDNS. Repeatable."),
    click.option("--slots", type=int, help="Attempts that run at once.  [default: the CPUs]"),
    click.option("--label", metavar="KEY=VALUE", multiple=True, help="Repeatable."),
    click.option("--capability", metavar="MODULE", multiple=True, help="Repeatable."),
    click.option("--metrics", metavar="HOST:PORT", help="Let Prometheus read /metrics here."),
    click.option("--openai", metavar="HOST:PORT", help="Offer the mesh's models here."),
    click.option("--model", metavar="NAME[,url=URL]...", multiple=True, help="Repeatable."),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        help="Any other setting, such as limits.wall_s=60. Repeatable.",
    ),
    click.option("--config", "config_path", metavar="FILE", help="Instead of the platform's."),
)


def config_options(command: Command) -> Command:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def load_config(given: dict[str, Any]) -> Loaded:
    """The config of a command's options. Raises Invalid and Refused."""
    from nova_node import config
    from nova_node.core.errors import Invalid

    flags: dict[str, object] = {}
    for text in given["settings"]:
        key, equals, value = str(text).partition("=")
        if not equals:
            raise Invalid(f"--set {text!r} is not KEY=VALUE", "for example --set limits.wall_s=60")
        flags[key] = value
    for parameter, key in _KEYS.items():
        value = given[parameter]
        if value is not None and value != ():
            flags[key] = value
    path = given["config_path"]
    return config.load(flags, os.environ, Path(path) if path else None)
