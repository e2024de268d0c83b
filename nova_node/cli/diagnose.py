"""`doctor`: why is a peer missing?"""

from __future__ import annotations

import json
from typing import Any

import click

from nova_node.cli.fault import EXIT_FAILED, printable
from nova_node.cli.options import config_options, load_config


@click.command()
@config_options
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def doctor(as_json: bool, **given: Any) -> None:
    """Find out why a peer is missing: network, multicast, firewall, clock, mesh, versions.

    --peer HOST:PORT is asked too. Ends with 1 when a check fails.
    """
    import asyncio

    loaded = load_config(given)
    from nova_node.doctor import decide, report
    from nova_node.doctor.gather import gather

    click.echo("looking around, for at most 5 s ...", err=True)
    config = loaded.config
    found = decide.findings(asyncio.run(gather(config, config.discovery.peers)))
    if as_json:
        click.echo(json.dumps(report.as_json(found), indent=2))
    else:
        click.echo(printable(report.as_text(found)))
    if decide.worst(found) is decide.FAIL:
        raise click.exceptions.Exit(EXIT_FAILED)
