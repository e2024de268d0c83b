"""What the commands of identity share: where the authority is, refusals as errors, reading a token.

The authority is a folder on one machine. A command that needs it runs there, whether a node runs or
not; on any other machine it says which node holds it.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from nova_node.cli.fault import printable
from nova_node.core.errors import Invalid, NovaError, Refused, Unavailable

if TYPE_CHECKING:
    from nova_proto.identity.certificates import Facts
    from nova_proto.identity.folder import Credentials
    from nova_proto.identity.names import Name
    from nova_proto.v1.identity_pb2 import DataKey

    from nova_node.adapters.local_nodes import LocalNode
    from nova_node.identity.authority import Authority

ASK_TIMEOUT_S = 2.0
TOKEN_MAX_BYTES = 4_096
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

Command = TypeVar("Command", bound=Callable[..., Any])


def data_dir_options(command: Command) -> Command:
    """--data-dir and --config, as `start` has them."""
    command = click.option("--config", "config_path", metavar="FILE", help="Not the platform's.")(
        command
    )
    return click.option("--data-dir", metavar="FOLDER", help="Of the node on this machine.")(
        command
    )


json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


def settings_of(
    data_dir: str | None, config_path: str | None, mesh: str | None = None
) -> dict[str, Any]:
    """A node's settings by key, from flags, environment, config file or defaults. Raises Invalid."""
    from nova_node import config

    # an address that needs an identity must not stop the command that makes one
    flags: dict[str, object] = {"listen": "127.0.0.1:0"}
    if data_dir:
        flags["data_dir"] = data_dir
    if mesh:
        flags["mesh"] = mesh
    loaded = config.load(flags, os.environ, Path(config_path) if config_path else None)
    return {given.key: given.value for given in loaded.given}


def data_dir_of(data_dir: str | None, config_path: str | None) -> Path:
    """The folder of this machine's node. Raises as `settings_of`."""
    return settings_of(data_dir, config_path)["data_dir"]


@contextmanager
def refusals() -> Generator[None]:
    """What identity refuses, as an error of this command."""
    from nova_proto.identity.errors import IdentityError

    try:
        yield
    except IdentityError as error:
        kind = Unavailable if error.code == "unavailable" else Refused
        raise kind(error.message, error.fix, error.code) from None


def own_credentials(data_dir: Path) -> Credentials | None:
    """Of the node in this folder. Raises IdentityError when they cannot be read."""
    from nova_proto.identity import folder

    where = data_dir / "identity"
    return folder.load(where) if folder.exists(where) else None


def authority_of(data_dir: Path) -> Authority:
    """Raises Refused, naming the node that holds the authority when that is known."""
    from nova_node.identity.authority import Authority

    where = data_dir / "authority"
    if where.is_dir():
        return Authority.open(where)
    own = own_credentials(data_dir)
    if own is None:
        raise Refused(
            f"no mesh was made on this machine: there is no {where}",
            "make one: nova-node init; or run this where that was done, with the --data-dir of its node",
        )
    from nova_proto.identity.trust import stored_trust

    trust = stored_trust(own.trust)
    raise Refused(
        f"the authority of mesh {own.name.mesh} is held by node {trust.authority}, not by this"
        f" one ({own.name.id})",
        f"run this on the machine of {trust.authority}; `nova nodes` shows where that is",
    )


def node_here(data_dir: Path) -> LocalNode | None:
    """The node that runs on this folder."""
    from nova_node.adapters import local_nodes

    where = str(data_dir.resolve())
    return next(
        (n for n in local_nodes.running(local_nodes.nodes_dir()) if n.data_dir == where), None
    )


def names_known(data_dir: Path) -> list[tuple[str, str]]:
    """(id, name) of the nodes that the one which runs on this folder knows; none when none does."""
    here = node_here(data_dir)
    if here is None:
        return []
    from nova_node.adapters import nodes_grpc

    try:
        members = nodes_grpc.members(here.asked_at, ASK_TIMEOUT_S)
    except NovaError:
        return []
    return [(member["node"], member["name"]) for member in members]


def require_no_authority(data_dir: Path) -> None:
    """Raises Refused."""
    if (data_dir / "authority").is_dir():
        raise Refused(
            f"this machine holds the authority of a mesh already: {data_dir / 'authority'}",
            "see `nova-node members`; for a second mesh, give it a --data-dir of its own",
        )


def require_outsider(data_dir: Path) -> None:
    """Raises Refused, and IdentityError when there is an identity that cannot be read."""
    require_no_authority(data_dir)
    own = own_credentials(data_dir)
    if own is not None:
        raise Refused(
            f"this node belongs to the mesh {own.name.mesh}",
            f"give a second mesh a --data-dir of its own, or delete {data_dir / 'identity'} to leave",
        )


def admit(authority: Authority, where: Path, name: Name, lifetime_s: float | None = None) -> Facts:
    """A new key and its certificate, kept in the folder `where`. Raises IdentityError, NovaError."""
    from nova_proto.identity import certificates, folder

    key = certificates.new_key()
    chain = authority.issue(certificates.request(key), name, lifetime_s)
    trust = authority.signed_trust().SerializeToString()
    folder.save(where, folder.Credentials(name, certificates.key_to_pem(key), chain, trust))
    return certificates.read_leaf(chain[0])


def keep_data_keys(where: Path, keys: Iterable[DataKey]) -> None:
    """In the identity folder of a node, `where`. Raises NovaError."""
    from nova_node.identity.data_keys import DataKeys
    from nova_node.identity.live import DATA_KEYS

    kept = DataKeys(where / DATA_KEYS)
    for key in keys:
        kept.add(key.no, key.key)


def user_name() -> str:
    """Of the person at this terminal, as an id of the mesh."""
    name = re.sub(r"[^a-z0-9-]+", "-", getpass.getuser().lower()).strip("-")[:32]
    return name or "admin"


def read_token(file: IO[str] | None) -> str:
    """From a file, from a pipe, or asked for; never from the arguments, which others can see.

    Raises Invalid."""
    if file is None and sys.stdin.isatty():
        text = str(click.prompt("token", hide_input=True, err=True))
    else:
        text = (file or sys.stdin).read(TOKEN_MAX_BYTES)
    if not text.strip():
        raise Invalid(
            "no token was given",
            "make one with `nova-node token create` where the mesh was made, then paste it here,"
            " pipe it in, or name its file with --token-file",
        )
    return text.strip()


def seconds_of(text: str) -> float:
    """Of 30s, 15m, 2h or 7d. Raises Invalid."""
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text.strip().lower())
    if match is None or not int(match[1]):
        raise Invalid(f"{text[:40]!r} is not a length of time", "write 30s, 15m, 2h or 7d")
    return float(int(match[1]) * _SECONDS[match[2]])


def at(unix_s: float) -> str:
    """A moment, in this machine's time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(unix_s))


def say(as_json: bool, document: dict[str, Any], lines: Sequence[str]) -> None:
    """The outcome, and for people the next step as the last line."""
    if as_json:
        click.echo(json.dumps({"schema": 1, **document}, indent=2))
    else:
        click.echo(printable("\n".join(lines)))


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (titles, *rows)
    ]
