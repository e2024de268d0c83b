"""`revoke`: a node or a person is no member any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nova_node.cli.authority import (
    authority_of,
    data_dir_of,
    data_dir_options,
    json_option,
    names_known,
    refusals,
    say,
)
from nova_node.cli.noted import noted
from nova_node.core.errors import Invalid, NotFound

if TYPE_CHECKING:
    from nova_node.identity.authority import Authority

PREFIX_CHARS_MIN = 4


@click.command()
@click.argument("member", metavar="NODE|PERSON")
@data_dir_options
@json_option
def revoke(member: str, data_dir: str | None, config_path: str | None, as_json: bool) -> None:
    """End a membership: of a node's name, an id, the first letters of one, or ROLE/ID.

    Nodes that run hear of it within seconds; nobody has to restart.
    """
    with refusals():
        from nova_proto.identity import names

        folder = data_dir_of(data_dir, config_path)
        authority = authority_of(folder)
        short = _find(authority, member, names_known(folder))
        authority.revoke(names.parse_short(authority.mesh, short))
    noted(folder, "revoke", short)
    lines = [
        f"{short} is no member any more; nodes cut it off as they hear of it, within 5 s",
        f"next: to let it in again, nova-node token create --role {short.partition('/')[0]}"
        f" --id {short.partition('/')[2]}",
    ]
    say(as_json, {"revoked": short}, lines)


def _find(authority: Authority, text: str, node_names: list[tuple[str, str]]) -> str:
    """The one `<role>/<id>` that is meant. Raises NotFound, Invalid."""
    known = [member.name for member in authority.issued() if member.revoked_at is None]
    exact = [name for name in known if text in (name, name.partition("/")[2])]
    named = [f"worker/{node}" for node, name in node_names if name == text]
    alike = [name for name in known if name.partition("/")[2].startswith(text)]
    found = exact or [name for name in known if name in named]
    if not found and len(text) >= PREFIX_CHARS_MIN:
        found = alike
    if not found:
        raise NotFound(f"no member {text[:80]!r}", "nova-node members lists them")
    if len(found) > 1:
        raise Invalid(f"{text[:80]!r} could be several", f"name one: {', '.join(found[:8])}")
    return found[0]
