"""The Tasks view over all there ever was: pages of the history below what is kept, and its selection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from nova_client import Outcome, Status, event, filters
from nova_client.ended import EndedPage
from nova_client.metrics import Missing
from nova_client.model import TaskList
from nova_console.app import model, past, tasks_pane
from nova_console.app.app import Console
from nova_console.app.inputs import Listed, Recalled, Recalling, Told, Unrecalled
from nova_console.app.model import World
from nova_console.app.past import Past
from nova_console.app.sieve import Sieve
from nova_console.app.tab import Tab
from nova_console.app.tasks_pane import TaskTable
from support.console_world import (
    NOW,
    FakeMesh,
    console,
    failed,
    node,
    node_id,
    past_task,
    shows,
    task,
    until,
)
from textual.events import MouseScrollDown

Scene = Callable[[Any, Console, FakeMesh], Awaitable[None]]


def play(scene: Scene, mesh: FakeMesh) -> None:
    async def main() -> None:
        app = console(mesh)
        async with app.run_test(size=(140, 30)) as pilot:
            await shows(app, "LIVE", pilot=pilot)
            await pilot.press("2")
            await scene(pilot, app, mesh)

    asyncio.run(main())


def small_mesh(**changes: Any) -> FakeMesh:
    return FakeMesh(nodes=[node(i) for i in range(3)], **changes)


def table(app: Console) -> TaskTable:
    return app.query_one("#tasks-table", TaskTable)


# ---------------------------------------------------------------- the view


def test_a_filter_that_stands_shows_what_owners_forgot() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "2 shown", pilot=pilot)
        await pilot.press("slash", *"status:failed", "enter")
        found = await shows(app, "3 shown of 3 that match", "n0000000-7", "timed_out", pilot=pilot)
        assert "no luck 2" in found  # the row that is kept knows more
        assert "n0000000-8" not in found
        assert mesh.recalled == [("status:failed", "")]
        await pilot.press("escape")
        assert "n0000000-7" not in await shows(app, "2 shown", pilot=pilot)

    gone = [past_task(7, Status.FAILED), past_task(8), past_task(9, Status.FAILED)]
    kept_too = past_task(2, Status.FAILED)
    play(scene, small_mesh(tasks=[task(1), failed(2)], past=[*gone, kept_too]))


def test_parts_are_asked_for_by_their_phase() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("slash", *"phase:split", "enter")
        await shows(app, "1 shown of 1 that match", "n0000000-6", pilot=pilot)

    part = past_task(6, phase="split", parent="n0000000-5")
    play(scene, small_mesh(past=[past_task(5), part]))


def test_the_last_row_brings_the_next_page_until_there_is_none() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "1 shown", "more below the last", pilot=pilot)
        await pilot.press("end")
        await shows(app, "1,001 shown of 2,501 on the mesh", "more below", pilot=pilot)
        assert table(app).selected == app.tab.live.tasks["n0000000-9000"]
        for shown in ("2,001 shown", "2,501 shown of 2,501"):
            await pilot.press("end")
            await shows(app, shown, pilot=pilot)
        await pilot.press("end")
        found = await shows(app, "n0000000-1 ", "n0000000-20 ", pilot=pilot)
        assert "below the last" not in found
        assert [before for _, before in mesh.recalled] == [
            "",
            past_task(1_501).place.mark,
            past_task(501).place.mark,
        ]
        ids = [row.id for row in table(app).rows]
        assert ids == ["n0000000-9000", *(f"n0000000-{no}" for no in range(2_500, 0, -1))]

    play(
        scene,
        small_mesh(
            tasks=[task(9_000, Status.WAITING)], past=[past_task(no) for no in range(1, 2_501)]
        ),
    )


def test_the_wheel_brings_the_next_page_too_when_it_is_at_the_end() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "1 shown", "more below the last", pilot=pilot)
        turn_wheel(app)
        await shows(app, "1,001 shown of 1,201 on the mesh", pilot=pilot)
        turn_wheel(app)
        await until(lambda: table(app).scroll_offset.y > 0)
        assert len(mesh.recalled) == 1
        table(app).scroll_end(animate=False)
        await until(lambda: table(app).is_vertical_scroll_end)
        turn_wheel(app)
        await shows(app, "1,201 shown of 1,201", pilot=pilot)

    tasks = [task(9_000, Status.WAITING)]
    play(scene, small_mesh(tasks=tasks, past=[past_task(no) for no in range(1, 1_201)]))


def turn_wheel(app: Console) -> None:
    """Over the table, as the terminal tells it."""
    x, y = table(app).region.offset
    app.post_message(MouseScrollDown(None, x, y, 0, 0, 0, shift=False, meta=False, ctrl=False))


def test_pages_of_what_is_kept_anyway_are_passed_over() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "1,000 shown", pilot=pilot)
        await pilot.press("end")
        await shows(app, "1,500 shown of 1,500", pilot=pilot)
        assert len(mesh.recalled) == 2

    gone = [past_task(no) for no in range(1, 1_501)]
    kept = [each.view() for each in reversed(gone[500:])]
    play(scene, small_mesh(tasks=kept, past=gone))


def test_who_does_not_answer_and_what_goes_wrong_is_told_on_the_border() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("slash", *"status:done", "enter")
        await shows(app, "2 shown of 2 that match", "✖ no answer from birch", pilot=pilot)
        await pilot.press("slash", *" oops", "enter")
        await shows(app, "✖ history: the filter is too long; use fewer words", pilot=pilot)
        mesh.speaks.clear()
        await pilot.press("slash", "x", "enter")
        await shows(app, "… asking the history", pilot=pilot)
        mesh.speaks.set()

    gone = Missing(node_id(2), "birch", "unavailable", "no answer", "")
    play(scene, small_mesh(tasks=[task(1)], past=[past_task(7)], past_missing=(gone,)))


def test_a_replay_and_a_pause_ask_nothing() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "1 shown", pilot=pilot)
        for key, mode in (("space", "PAUSED"), ("z", "REPLAY")):
            await pilot.press(key)
            await shows(app, f"nothing more is asked in {mode}", pilot=pilot)
            await pilot.press("end", "down", "slash", *"status:done", "enter")
            await shows(app, "Tasks / status:done", pilot=pilot)
            await pilot.press("escape")
        await pilot.press("escape")
        await shows(app, "LIVE", pilot=pilot)
        assert mesh.recalled == []

    play(scene, small_mesh(tasks=[task(1)], past=[past_task(7)]))


def test_a_task_that_its_owner_forgot_opens_as_the_history_has_it() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("slash", *"why:timed_out", "enter")
        await shows(app, "n0000000-7", pilot=pilot)
        await pilot.press("enter")
        await shows(
            app,
            *("Tasks ▸ n0000000-7", "failed", "core.echo", "node-01", "ATTEMPTS", "timed_out"),
            "no longer kept: its owner forgot this task",
            pilot=pilot,
        )

    play(scene, small_mesh(tasks=[task(1)], past=[past_task(7, Status.FAILED)]))


def test_a_task_that_nobody_knows_stays_an_error() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        app.desk.open_task("n0000000-99")
        found = await shows(
            app, "✖ no task n0000000-99", "no answer from the history of birch", pilot=pilot
        )
        assert "no longer kept" not in found

    gone = Missing(node_id(2), "birch", "unavailable", "it is dead", "")
    play(scene, small_mesh(tasks=[task(1)], past_missing=(gone,)))


# ---------------------------------------------------------------- the selection


def test_the_selection_stays_on_its_task_and_its_line() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "60 shown", pilot=pilot)
        await pilot.press(*["down"] * 40)
        await shows(app, "60 shown", pilot=pilot)
        chosen, line = _selected(app), table(app).cursor - round(table(app).scroll_offset.y)
        for no in range(100, 130):
            accepted = event.Accepted("r", f"{node_id(0)[:8]}-{no}", 1, ("core.echo",))
            await mesh.tell(accepted, at=NOW + no)
            await until(lambda no=no: f"{node_id(0)[:8]}-{no}" in app.tab.live.tasks)
        await shows(app, "90 shown", pilot=pilot)
        assert _selected(app) == chosen
        assert table(app).cursor - round(table(app).scroll_offset.y) == line
        await pilot.press("home")
        await mesh.tell(
            event.Accepted("r", f"{node_id(0)[:8]}-200", 1, ("core.echo",)), at=NOW + 200
        )
        await shows(app, "91 shown", pilot=pilot)
        assert _selected(app).endswith("-200")  # home follows the newest
        await pilot.press("down", "up")
        await mesh.tell(
            event.Accepted("r", f"{node_id(0)[:8]}-201", 1, ("core.echo",)), at=NOW + 201
        )
        await shows(app, "92 shown", pilot=pilot)
        assert _selected(app).endswith("-200")

    play(scene, small_mesh(tasks=[task(no) for no in range(1, 61)]))


def _selected(app: Console) -> str:
    row = table(app).selected
    assert row is not None
    return row.id


def test_many_rows_are_chosen_now_and_then_and_shown_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        world = app.tab.live
        for no in range(3_000):
            accepted = event.Accepted("r", f"{node_id(0)[:8]}-{no}", 1, ("core.echo",))
            world.take(Told(NOW, event.Event(no + 1, NOW, node_id(0), accepted)))
        await shows(app, "3,000 shown", pilot=pilot)
        monkeypatch.setattr(tasks_pane, "MANY_EVERY_S", 1e9)
        rows = table(app).rows
        begun = event.Assigned(node_id(1), (rows[0].id,))
        world.take(Told(NOW, event.Event(9_000, NOW, node_id(0), begun)))
        found = await shows(app, "running", pilot=pilot)
        assert found.count("running") == 1
        assert table(app).rows is rows
        monkeypatch.setattr(tasks_pane, "MANY_EVERY_S", 0.0)
        app.flush()
        assert table(app).rows is not rows

    play(scene, small_mesh())


# ---------------------------------------------------------------- the picture


def page(*nos: int, next: str = "", total: int = 0) -> EndedPage:
    return EndedPage(tuple(past_task(no) for no in nos), total or len(nos), next, ())


def recalled(text: str, told: EndedPage, before: str = "") -> Recalled:
    return Recalled(NOW, text, before, told)


def numbers(past: Past) -> list[int]:
    return [model.number(id) for id in past.rows]


def test_pages_follow_each_other_and_answers_to_another_question_are_left_out() -> None:
    past = Past().take(Recalling(NOW, "a", "")).take(recalled("a", page(9, 8, next="m", total=4)))
    assert (numbers(past), past.next, past.total, past.asking) == ([9, 8], "m", 4, False)
    asked = past.take(Recalling(NOW, "a", "m"))
    assert asked.asking
    assert numbers(asked) == [9, 8]
    assert asked.take(recalled("b", page(1))) == asked
    assert asked.take(recalled("a", page(1), before="other")) == asked
    assert asked.take(Unrecalled(NOW, "b", "why")) == asked
    assert asked.take(Unrecalled(NOW, "a", "why")).why == "why"
    whole = asked.take(recalled("a", page(7, 6), before="m"))
    assert numbers(whole) == [9, 8, 7, 6]
    assert whole.is_whole("a")
    assert not whole.is_whole("b")
    anew = whole.take(Recalling(NOW, "b", ""))
    assert anew.take(recalled("a", page(5), before="m")) == anew
    assert not anew.rows


def test_the_page_just_fetched_is_never_what_is_let_go() -> None:
    told = Past().take(Recalling(NOW, "", ""))
    count = past.ROWS_MAX + 2_500
    for top in range(count, 0, -1_000):
        told = told.take(
            recalled("", page(*range(top, max(0, top - 1_000), -1), next="m"), told.next)
        )
    assert len(told.rows) == past.ROWS_MAX
    assert numbers(told)[-1] == 1
    assert told.gone == 2_500


def test_the_bound_on_live_tasks_leaves_the_history_alone() -> None:
    world = World()
    world.take(Recalling(NOW, "", ""))
    world.take(recalled("", page(5, 4)))
    accepted = event.Accepted("r", f"{node_id(0)[:8]}-1000", model.TASKS_MAX + 1, ("core.echo",))
    world.take(Told(NOW, event.Event(1, NOW, node_id(0), accepted)))
    assert len(world.tasks) <= model.TASKS_MAX
    assert numbers(world.past) == [5, 4]
    copy = world.copy()
    world.take(recalled("", page(3)))
    assert numbers(copy.past) == [5, 4]


def test_what_is_requeued_is_no_longer_of_the_past() -> None:
    world = World()
    world.take(Recalling(NOW, "", ""))
    world.take(recalled("", page(5, 4)))
    id = past_task(5).id
    world.take(Told(NOW, event.Event(1, NOW, node_id(0), event.Requeued((id,)))))
    assert numbers(world.past) == [4]
    assert world.tasks[id].status is Status.WAITING


def test_a_replay_leaves_out_what_the_history_told() -> None:
    tab = Tab("")
    tab.put(Listed(NOW, TaskList((task(1),), (), 1), of_all=True))
    tab.put(Recalling(NOW, "", ""))
    tab.put(recalled("", page(5)))
    assert numbers(tab.live.past) == [5]
    assert len(tab.history) == 1


def test_only_rows_that_changed_are_judged_anew() -> None:
    world, sieve, wanted = World(), Sieve(), filters.parse("status:running")
    first = f"{node_id(0)[:8]}-1"
    accepted = event.Accepted("r", first, 50, ("core.echo",))
    world.take(Told(NOW, event.Event(1, NOW, node_id(0), accepted)))
    assert sieve.sift(world, world.tasks.values(), wanted) == []
    known = dict(sieve._known)  # pyright: ignore[reportPrivateUsage]
    world.take(Told(NOW, event.Event(2, NOW, node_id(0), event.Assigned(node_id(1), (first,)))))
    assert [row.id for row in sieve.sift(world, world.tasks.values(), wanted)] == [first]
    again = sieve._known  # pyright: ignore[reportPrivateUsage]
    assert sum(again[id] is not verdict for id, verdict in known.items()) == 1
    done = Outcome(first, Status.DONE, None, None, 1, node_id(1), NOW, 1)
    world.take(Told(NOW, event.Event(3, NOW, node_id(0), event.Finished((done,)))))
    assert sieve.sift(world, world.tasks.values(), wanted) == []
    assert len(sieve.sift(world, world.tasks.values(), filters.parse(""))) == 50
