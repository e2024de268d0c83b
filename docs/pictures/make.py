"""Pictures of the console for the README: a small mesh with real work, seen by the console itself.

`make pictures` writes mesh.svg and flow.svg. Rule: what the nodes do is real; what names this machine
(addresses, platform) is replaced before it is drawn.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from nova_client import Client
from nova_client.model import NodeList, NodeView

from nova_node.demo.nodes import Nodes

NAMES = ("alder", "birch", "cedar", "elm", "hazel")
SIZE = (160, 45)
PATIENCE_S = 60.0
PAUSE_S = 0.05
SHARDS = 40
TRIES = 10
SENTENCE = "a mesh of nodes counts the words of this text and draws how it does so"
_FOREIGN = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.S)
"""Fonts from elsewhere, and who drew."""


class Anonymous(Client):
    """A client whose nodes live nowhere in particular."""

    async def nodes(self) -> NodeList:
        seen = await super().nodes()
        return NodeList("lab", tuple(_anonymous(view) for view in seen.nodes))


def _anonymous(view: NodeView) -> NodeView:
    number = NAMES.index(view.name) + 1
    return replace(
        view,
        address=f"10.0.0.{number}:7600",
        platform="Linux-x86_64",
        cpus=8,
        memory_bytes=16 << 30,
        python="3.13.0",
        warnings=(),
    )


async def pictures(nodes: Nodes, folder: Path) -> None:
    from nova_console.app.app import Console

    serving = {node.name: node.address for node in (await nodes.serving()).values()}
    behind = {f"10.0.0.{n}:7600": serving[name] for n, name in enumerate(NAMES, 1)}

    def opener(address: str) -> Any:
        return Anonymous(behind[address])

    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(Client(serving[NAMES[0]]))
        other = await stack.enter_async_context(Client(serving[NAMES[1]]))
        await _all_alive(owner)
        app = Console(("10.0.0.1:7600",), opener=opener)
        pilot = await stack.enter_async_context(app.run_test(size=SIZE))

        async def seen(holds: Callable[[], bool], what: str) -> None:
            end = time.monotonic() + PATIENCE_S
            while not holds():
                if time.monotonic() > end:
                    raise SystemExit(f"waited {PATIENCE_S:g} s for {what}")
                app.flush()
                await pilot.pause(PAUSE_S)

        def draw(name: str) -> str:
            app.flush()
            text = _FOREIGN.sub("", app.export_screenshot(title=f"nova console: {name}"))
            folder.joinpath(f"{name}.svg").write_text(text.rstrip() + "\n")
            return text

        def half_done(id: str) -> bool:
            return id in live.tasks and live.tasks[id].children_done > SHARDS // 2

        live = app.tab.live
        await seen(lambda: len(live.eyes) == len(NAMES), "every node's view")
        files = await owner.put_files([_text(folder)])
        await pilot.press("5")
        for _ in range(TRIES):
            split = await owner.submit("text.wordcount", inputs={"files": files}, shards=SHARDS)
            await seen(functools.partial(half_done, split.id), "half of the shards")
            if "forecast" in draw("flow"):
                break
        else:
            raise SystemExit("each time the work was over before it was drawn")
        await pilot.press("1")
        await _load(other)
        await seen(lambda: not any(v.slots_free for v in live.nodes.values()), "busy nodes")
        draw("mesh")


async def _all_alive(client: Client) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        views = (await client.nodes()).nodes
        if len(views) == len(NAMES) and all(v.state == "alive" and v.capabilities for v in views):
            return
        if time.monotonic() > end:
            raise SystemExit(f"the nodes did not find each other within {PATIENCE_S:g} s")
        await asyncio.sleep(PAUSE_S)


async def _load(owner: Client) -> None:
    rng = random.Random(1)
    naps = [("core.sleep", {"seconds": rng.uniform(0.1, 0.4)}) for _ in range(200)]
    await owner.submit_many(naps, durability="volatile")


def _text(folder: Path) -> Path:
    """Enough words that counting them takes a while."""
    rng = random.Random(2)
    words = folder / "words"
    words.mkdir()
    for number in range(SHARDS):
        (words / f"{number}.txt").write_text(" ".join(rng.choices(SENTENCE.split(), k=5_000)) * 75)
    return words


def main(target: Path) -> None:
    os.environ |= {"NOVA_CONSOLE_CONFIG": os.devnull, "GRPC_VERBOSITY": "NONE", "TZ": "UTC"}
    os.environ.pop("NO_COLOR", None)
    with tempfile.TemporaryDirectory() as made, Nodes(NAMES) as nodes:
        asyncio.run(pictures(nodes, Path(made)))
        for name in ("mesh", "flow"):
            picture = Path(made, f"{name}.svg").read_text()
            (target / f"{name}.svg").write_text(picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
