"""How well the specialists do on their evaluation sets, on a node of its own.

    python tests/bench/specialists.py                            with the scripted model: proves the machinery
    python tests/bench/specialists.py --model NAME[,url=URL]...  with a real one, named as for nova-node start

Precision: of the findings, how many were expected. Recall: of what was expected, how much was found.
Dropped: findings that pointed at nothing, which nobody is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from nova_client import Client, TaskFailed
from support.evaluation_sets import Case, Score, cases, names, scripted
from support.fake_provider import FakeProvider, Say
from support.mesh import Mesh, met

MODULES = ("nova_node.capabilities.llm", "nova_node.capabilities.specialists")
TIMEOUT_S = 600.0


async def looked(client: Client, name: str, case: Case, folder: Path) -> dict[str, Any]:
    args = {"diff": case.diff, "fresh": True} if case.diff else {"fresh": True}
    inputs: Any = {} if case.diff else {"files": case.write(folder)}
    task = await client.submit(name, args, inputs=inputs, durability="volatile")
    return await task.result(TIMEOUT_S)


async def measure(client: Client, folder: Path, wanted: list[str]) -> None:
    await met(client, 1)
    head = ("specialist", "cases", "failed", "found", "expected", "precision", "recall", "dropped")
    titles = "".join(f"{each:>10}" for each in (*head[1:], "USD", "seconds"))
    sys.stdout.write(f"{head[0]:20}{titles}\n")
    for name in wanted:
        score, failed, cost, began = Score(), 0, 0.0, time.monotonic()
        for case in cases(name):
            try:
                result = await looked(client, name, case, folder)
            except TaskFailed as error:
                failed += 1
                sys.stderr.write(f"  {case.name}: {error.code}: {error}\n")
                continue
            score.add(case, result)
            cost += float("nan") if result["cost_usd"] is None else result["cost_usd"]
        row = (len(cases(name)), failed, score.found, score.expected)
        sys.stdout.write(
            f"{name:20}"
            + "".join(f"{each:>10}" for each in row)
            + f"{score.precision:>10.2f}{score.recall:>10.2f}{score.dropped:>10}"
            + f"{cost:>10.4f}{time.monotonic() - began:>10.1f}\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", help="as for nova-node start; the scripted one if left out")
    parser.add_argument("--only", choices=names(), action="append", help="this specialist")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        model = given.model
        if model is None:
            provider = stack.enter_context(FakeProvider(("scripted",)))
            provider.otherwise = lambda request: Say(scripted(request.prompt))
            model = f"scripted,url={provider.url},price_in=0,price_out=0"
        mesh = stack.enter_context(Mesh(folder))
        modules = [word for each in MODULES for word in ("--capability", each)]
        options = ("--no-mdns", "--slots", "1", "--set", "models.discover=no")
        node = mesh.start("bench", *options, *modules, "--model", model)

        async def run() -> None:
            async with node.client() as client:
                await measure(client, folder, given.only or [*names()])

        asyncio.run(run())


if __name__ == "__main__":
    main()
