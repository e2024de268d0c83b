"""nova models"""

from __future__ import annotations

import click
from nova_client import Client
from nova_client.models import Offer, offers

from nova_console.cli.frame import with_client
from nova_console.cli.output import Output, dollars


@click.command(name="models")
@with_client
async def command(client: Client, out: Output) -> None:
    """List the models of the mesh, and where they are.

    \b
    IN, OUT      price of a million tokens; ? is unknown, not free
    FIRST        measured time to the first token
    TOKENS/S     measured, after it
    """
    found = offers((await client.nodes()).nodes)
    if out.as_json:
        out.json({"models": found_in_json(found)})
        return
    if not found:
        out.note("no node has a model; give one a model: nova-node start --model NAME")
        return
    titles = ("MODEL", "NODE", "WHERE", "CONTEXT", "IN", "OUT", "FIRST", "TOKENS/S", "CAN")
    out.table(titles, [_row(offer) for offer in found])


def found_in_json(found: tuple[Offer, ...]) -> list[dict[str, object]]:
    return [{"node": offer.node, "name": offer.name, "model": offer.model} for offer in found]


def _row(offer: Offer) -> tuple[str, ...]:
    model = offer.model
    able = [model.kind] if model.kind != "chat" else []
    able += ["images"] * model.takes_images + ["tools"] * model.calls_tools
    return (
        model.name,
        offer.name,
        "local" if model.local else "cloud",
        f"{model.context_tokens:,}" if model.context_tokens else "?",
        dollars(model.input_uusd_per_mtok),
        dollars(model.output_uusd_per_mtok),
        f"{model.ttft_ms:.0f} ms" if model.ttft_ms else "-",
        f"{model.tokens_per_s:.0f}" if model.tokens_per_s else "-",
        " ".join(able) or "-",
    )
