"""`nova-sandbox doctor` and `nova-sandbox test`: what is missing, and whether it holds."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict

import click

from nova_sandbox import doctor as examination
from nova_sandbox.cli.fault import printable
from nova_sandbox.cli.options import engine_option, image_option, json_option, tier_option
from nova_sandbox.limits import Tier
from nova_sandbox.pool import PoolSize
from nova_sandbox.sandbox import Sandbox, Settings
from nova_sandbox.trials import TRIALS, verdict

TRIAL_TIMEOUT_S = 20.0


@click.command()
@image_option
@engine_option
@json_option
def doctor(image_name: str, engine: str, as_json: bool) -> None:
    """Tell what is missing on this machine, and how to get it."""

    async def main() -> bool:
        good = True
        async for finding in examination.examine(engine, image_name):
            good &= finding.level != "bad"
            if as_json:
                click.echo(json.dumps(asdict(finding)))
                continue
            click.echo(f"{finding.level:<5} {finding.what}: {printable(finding.detail)}")
            if finding.fix:
                click.echo(f"        fix: {printable(finding.fix)}")
        return good

    sys.exit(0 if asyncio.run(main()) else 1)


@click.command()
@click.option("--only", default="", metavar="TEXT", help="Only trials with TEXT in their name.")
@tier_option
@image_option
@engine_option
@json_option
def test(only: str, tier: str, image_name: str, engine: str, as_json: bool) -> None:
    """Run hostile programs here, and see that each ends as it has to."""
    settings = Settings(
        image=image_name,
        tier=Tier(tier),
        engine=engine,
        node="test",
        pool=PoolSize(min_warm=2),
    )
    chosen = [trial for trial in TRIALS if only in trial.name]

    async def main() -> int:
        failed = 0
        async with Sandbox(settings) as sandbox:
            for trial in chosen:
                timeout_s = trial.timeout_s or TRIAL_TIMEOUT_S
                events = sandbox.run(trial.code, language=trial.language, timeout_s=timeout_s)
                faults = await verdict(trial, events)
                failed += bool(faults)
                if as_json:
                    click.echo(json.dumps({"trial": trial.name, "faults": faults}))
                else:
                    click.echo(f"{'BAD' if faults else 'ok':<4} {trial.name}")
                    for fault in faults:
                        click.echo(f"       {printable(fault)}")
        return failed

    failed = asyncio.run(main())
    if not as_json:
        click.echo(f"{len(chosen) - failed} of {len(chosen)} hold")
    sys.exit(1 if failed or not chosen else 0)
