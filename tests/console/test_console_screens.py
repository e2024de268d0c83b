"""Every view of the console as plain text, in three sizes. NOVA_UPDATE_SCREENS=1 writes them anew."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nova_client import Event, Status
from nova_console.app import actions
from support.console_world import (
    NOW,
    FakeMesh,
    console,
    failed,
    node,
    node_id,
    shows,
    split_story,
    task,
    text,
)

SCREENS = Path(__file__).parent / "screens"
SIZES = ((80, 24), (120, 40), (200, 60))
VIEWS = ("mesh", "tasks", "dead", "events", "flow", "run", "metrics", "sql")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def lively() -> FakeMesh:
    """Nodes in every state, tasks in every status, a split task half done."""
    views = [node(i) for i in range(12)]
    views[1] = node(1, slots_free=0)
    views[2] = node(2, state="suspect")
    views[3] = node(3, state="dead", age_s=40.0)
    views[4] = node(4, draining=True)
    views[5] = node(5, age_s=60.0)
    mesh = FakeMesh(nodes=views)
    mesh.tasks = [task(100 + i, status) for i, status in enumerate(list(Status)[1:])]
    mesh.tasks += [failed(200), failed(201), task(300, parent="", attempts=(), node="")]
    mesh.tasks.sort(key=lambda view: view.accepted_at, reverse=True)
    story = split_story()
    mesh.events = [Event(i, at, node_id(0), fact) for i, (at, fact) in enumerate(story, 1)]
    return mesh


async def settled(app: Any, mesh: FakeMesh, pilot: Any) -> None:
    """All has reached the picture."""
    await shows(app, "LIVE", pilot=pilot)
    alive = {v.node for v in mesh.nodes if v.state in ("alive", "suspect")}
    end = time.monotonic() + 10
    while True:
        live = app.tab.live
        if alive <= live.eyes.keys() and live.tasks_listed and len(live.events) == len(mesh.events):
            break
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    app.flush()
    await pilot.pause()


def compare(name: str, found: str) -> None:
    path = SCREENS / f"{name}.txt"
    if os.environ.get("NOVA_UPDATE_SCREENS"):
        path.write_text(found + "\n")
    assert found + "\n" == path.read_text(), f"{name} looks different; see {path.name}"


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_every_view_looks_as_it_did(size: tuple[int, int]) -> None:
    async def main() -> None:
        mesh = lively()
        app = console(mesh)
        async with app.run_test(size=size) as pilot:
            await settled(app, mesh, pilot)
            for number, view in enumerate(VIEWS, 1):
                await pilot.press(str(number))
                if view == "run":
                    await shows(app, "text.words", pilot=pilot)
                if view == "metrics":
                    await shows(app, "TASKS THAT ENDED", pilot=pilot)
                if view == "dead":
                    await shows(app, "3 set aside", pilot=pilot)
                app.flush()
                await pilot.pause()
                compare(f"{view}-{size[0]}x{size[1]}", text(app))

    asyncio.run(main())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("count", [0, 1, 3, 60])
def test_the_mesh_of_any_size_looks_as_it_did(count: int, size: tuple[int, int]) -> None:
    async def main() -> None:
        mesh = FakeMesh(nodes=[node(i) for i in range(count)])
        app = console(mesh)
        async with app.run_test(size=size) as pilot:
            # a node that answers lists itself: none is what the first moments look like
            up = f"{count}/{count} up" if count else "… asking 127.0.0.1:7600"
            await shows(app, "LIVE", up, pilot=pilot)
            assert f"node-{count - 1:02d}" in text(app) or "more: enlarge" in text(app) or not count
            compare(f"mesh-of-{count}-{size[0]}x{size[1]}", text(app))

    asyncio.run(main())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("count", [0, 1, 60])
def test_every_view_fits_whatever_the_mesh(count: int, size: tuple[int, int]) -> None:
    async def main() -> None:
        mesh = FakeMesh(nodes=[node(i) for i in range(count)])
        app = console(mesh)
        async with app.run_test(size=size) as pilot:
            await shows(app, "LIVE", pilot=pilot)
            for number, (_, title, _) in enumerate(actions.VIEWS, 1):
                await pilot.press(str(number))
                found = await shows(app, f"▸ {title}"[: size[0] // 3], "q quit", pilot=pilot)
                lines = found.splitlines()
                assert len(lines) == size[1]
                assert max(map(len, lines)) <= size[0]

    asyncio.run(main())


def test_a_replay_shows_what_was() -> None:
    async def main() -> None:
        mesh = lively()
        app = console(mesh)
        async with app.run_test(size=(120, 40)) as pilot:
            await settled(app, mesh, pilot)
            await pilot.press("5", "z")
            await shows(app, "REPLAY", "◆", "5/8", pilot=pilot)
            assert app.tab.replay is not None
            app.tab.replay.seek(NOW - 20.5)  # the second of the shards has just ended
            await shows(app, "2/8", "6 running", pilot=pilot)
            compare("replay-120x40", text(app))
            await pilot.press("escape")
            await shows(app, "LIVE", "5/8", pilot=pilot)

    asyncio.run(main())
