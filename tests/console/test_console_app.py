"""The console's behaviour: every state of a view, keys, deeds, reconnects, several meshes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from nova_client import Invalid, Outcome, Status, event
from nova_client.model import Failure
from nova_console.app import actions, settings, themes
from nova_console.app.app import Console
from nova_console.app.lines import Page
from nova_console.app.pane import Pane
from nova_console.app.settings import Settings
from nova_console.app.sheet import Sheet
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
    until,
)
from textual.strip import Strip
from textual.widgets import Input

Scene = Callable[[Any, Console, FakeMesh], Awaitable[None]]


def play(scene: Scene, mesh: FakeMesh, size: tuple[int, int] = (120, 40), **options: Any) -> None:
    """The scene, on a console that is shown."""

    async def main() -> None:
        mesh.__post_init__()  # its events belong to this loop
        app = console(mesh, **options)
        async with app.run_test(size=size, notifications=True) as pilot:
            await scene(pilot, app, mesh)

    asyncio.run(main())


def small_mesh(**changes: Any) -> FakeMesh:
    return FakeMesh(nodes=[node(i) for i in range(3)], **changes)


# ---------------------------------------------------------------- states


VIEWS = [str(number) for number in range(1, 8)]


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_says_that_it_waits(view: str) -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press(view)
        await shows(app, "… asking", pilot=pilot)

    play(scene, small_mesh(silent=True))


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_says_what_is_wrong_and_what_to_do(view: str) -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press(view)
        await shows(
            app, "OFFLINE", "no node answers at 127.0.0.1:7600", "fix: start one", pilot=pilot
        )

    play(scene, small_mesh(down={"127.0.0.1:7600"}))


@pytest.mark.parametrize(
    ("view", "says"),
    [
        ("1", ["node-00"]),
        ("2", ["no tasks", "nova run core.sleep"]),
        ("3", ["no dead letters", "set aside here"]),
        ("4", ["no events yet", "as tasks are run"]),
        ("5", ["no task was split yet", "nova run text.wordcount"]),
        ("6", ["core.echo", "splits; Counts words."]),
        ("7", ["TASKS THAT ENDED", "nothing recorded"]),
        ("8", ["tables: samples", "SELECT capability"]),
    ],
)
def test_an_empty_view_says_what_to_do_next(view: str, says: list[str]) -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        await pilot.press(view)
        await shows(app, *says, pilot=pilot)

    play(scene, small_mesh())


@pytest.mark.parametrize("view", VIEWS)
def test_a_node_that_goes_away_leaves_the_view_and_comes_back(view: str) -> None:
    """What was known stays, is marked stale, and goes on when the node answers again."""

    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        await pilot.press(view)
        mesh.down = {f"127.0.0.1:{7600 + i}" for i in range(3)}
        await shows(app, "OFFLINE", "again in", "○ 3 stale", "o another node", pilot=pilot)
        mesh.down = set()
        await pilot.press("r")
        await shows(app, "LIVE", "3/3 up", pilot=pilot)

    play(scene, small_mesh(tasks=[task(1), failed(2)]))


@pytest.mark.parametrize("view", [id for id, _, _ in actions.VIEWS if id != "sql"])
def test_a_view_is_painted_at_once_as_it_stays(view: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it has another size than it had, or none yet: the first paint is the last."""
    first: dict[tuple[str | None, int], str] = {}
    last: dict[tuple[str | None, int], str] = {}
    render = Page.render_line

    def rendered(page: Page, y: int) -> Strip:
        strip = render(page, y)
        first.setdefault((page.id, y), strip.text)
        last[page.id, y] = strip.text
        return strip

    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        for at, fact in split_story():
            await mesh.tell(fact, at=at)
        await until(lambda: len(app.tab.live.tasks) > 2)
        await shows(app, "3/3 up", pilot=pilot)
        if view in ("run", "metrics"):  # what they show is asked for first
            app.action_view(view)
            await shows(app, "splits;" if view == "run" else "TASKS THAT ENDED", pilot=pilot)
        app.action_view("sql")
        await pilot.resize_terminal(140, 44)
        await shows(app, "tables: samples", pilot=pilot)
        monkeypatch.setattr(Page, "render_line", rendered)
        app.action_view(view)
        await pilot.pause()
        app.flush()
        await pilot.pause()
        assert first == last
        assert any(text.strip("─ ") for text in first.values())

    play(scene, small_mesh(tasks=[task(51), failed(52)]), settings=Settings(begin="sql"))


def test_data_that_is_old_is_told_as_old() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", "3/3 up", pilot=pilot)
        mesh.speaks.clear()
        mesh.now = NOW + 30
        await shows(app, "data 30.0s old", "○ 3 stale", pilot=pilot)
        mesh.speaks.set()
        await shows(app, "data 0ms old", "3/3 up", pilot=pilot)

    play(scene, small_mesh())


def test_another_node_takes_over() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", "3/3 up", pilot=pilot)
        mesh.down = {"127.0.0.1:7600"}
        await shows(app, "OFFLINE", pilot=pilot)
        await pilot.press("o")
        await shows(app, "LIVE", "3/3 up", pilot=pilot)
        assert app.tab.live.address != "127.0.0.1:7600"

    play(scene, small_mesh())


def test_an_odd_failure_of_a_client_does_not_end_the_console() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "OFFLINE", "ValueError: odd", pilot=pilot)
        assert app.is_running

    mesh = small_mesh()

    def odd(address: str) -> Any:
        raise ValueError("odd")

    mesh.open = odd
    play(scene, mesh)


# ---------------------------------------------------------------- keys


def test_keys_go_from_view_to_view_and_back() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", "node-02", pilot=pilot)
        await pilot.press("enter")
        await shows(app, "Mesh ▸ node-00", "the node asked", pilot=pilot)
        await pilot.press("escape", "2", "enter")
        await shows(app, "Tasks ▸ n0000000-1", "ATTEMPTS", "one line", pilot=pilot)
        await pilot.press("4", "question_mark")
        await shows(app, "Help", "MOVING", pilot=pilot)
        await pilot.press("escape")
        await shows(app, "▸ lab ▸ Events", pilot=pilot)

    play(scene, small_mesh(tasks=[task(1)]))


def test_arrows_select_the_nearest_node_that_way() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", "node-02", pilot=pilot)
        seen = {_selected(app)}
        for key in ("up", "down", "left", "right", "h", "j", "k", "l"):
            await pilot.press(key)
            seen.add(_selected(app))
        assert len(seen) == 3

    play(scene, small_mesh())


def _selected(app: Console) -> str:
    return app.query_one("MeshPane").selected  # pyright: ignore


def test_a_filter_narrows_while_it_is_typed_and_escape_ends_it() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("2")
        await shows(app, "2 shown", pilot=pilot)
        await pilot.press("slash", *"luck")
        await shows(app, "1 shown", "no luck 2", pilot=pilot)
        await pilot.press("enter")
        assert "1 shown" in await shows(app, "Tasks / luck", pilot=pilot)
        await pilot.press("escape")
        await shows(app, "2 shown", pilot=pilot)
        await pilot.press("slash", *"!luck", "enter")
        assert "no luck" not in (await shows(app, "1 shown", pilot=pilot)).replace("/ !luck", "")

    play(scene, small_mesh(tasks=[task(1), failed(2)]))


def test_a_filter_that_stands_asks_the_mesh_for_what_is_not_kept() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("2")
        await shows(app, "1 shown", pilot=pilot)
        mesh.tasks.append(failed(2))
        await pilot.press("slash", *"status:failed cap:core.echo", "enter")
        await shows(app, "no luck 2", pilot=pilot)
        assert ((Status.FAILED,), "core.echo") in mesh.asked

    play(scene, small_mesh(tasks=[task(1)]))


def test_typed_commands() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        for typed, says in (
            ("t", "▸ lab ▸ Tasks"),
            ("show n0000000-1", "Tasks ▸ n0000000-1"),
            ("gantt", "▸ lab ▸ Flow"),
            ("pause", "PAUSED"),
            ("pause", "LIVE"),
            ("fly", "there is no command 'fly'"),
        ):
            keys = ["space" if char == " " else char for char in typed]
            await pilot.press("colon", *keys, "enter")
            await shows(app, says, pilot=pilot)

    play(scene, small_mesh(tasks=[task(1)]))


def test_themes_change_and_no_colour_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        plain = await shows(app, "LIVE", "● node-01", pilot=pilot)
        for _ in themes.NAMES:
            await pilot.press("t")
            assert await shows(app, "LIVE", pilot=pilot) == plain
        assert "▸● node-00" in plain  # selected without a colour

    monkeypatch.setenv("NO_COLOR", "1")
    play(scene, small_mesh())


def test_the_theme_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORFGBG", "0;15")
    assert themes.fitting() == themes.LIGHT
    monkeypatch.setenv("COLORFGBG", "15;0")
    assert themes.fitting() == themes.DARK


def test_a_person_s_own_keys() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        await pilot.press("x")
        await shows(app, "▸ lab ▸ Flow", pilot=pilot)
        await pilot.press("question_mark")
        await shows(app, "x                     Show Flow", pilot=pilot)

    play(scene, small_mesh(), settings=Settings(keys={"view-flow": "x"}))


def test_every_action_has_a_binding_and_stands_in_the_palette() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        for number, (view, _, _) in enumerate(actions.VIEWS, 1):
            await pilot.press(str(number))
            listed = {command.title for command in app.get_system_commands(app.screen)}
            wanted = {a.text for a in actions.ACTIONS if a.view in ("", view)}
            assert wanted <= listed
            bound = {b.binding.id for b in app.screen.active_bindings.values()}
            assert {a.id for a in actions.ACTIONS if a.view == view} <= bound

    play(scene, small_mesh())


def test_maximise_and_restore() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", "Node (enter)", pilot=pilot)
        await pilot.press("f")
        assert "Node (enter)" not in await shows(app, "Topology", "LIVE", pilot=pilot)
        await pilot.press("f")
        await shows(app, "Node (enter)", pilot=pilot)

    play(scene, small_mesh())


# ---------------------------------------------------------------- deeds


def test_drain_asks_first_and_goes_to_the_node_selected() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", "node-02", pilot=pilot)
        await pilot.press("D")
        await shows(app, "Drain node-00?", "nova drain node-00 --stay", pilot=pilot)
        await pilot.press("n")
        await pilot.press("G", "D", "y")
        await shows(app, "is drained", pilot=pilot)
        assert len(mesh.drained) == 1
        assert mesh.drained != [node_id(0)]

    play(scene, small_mesh())


def test_resume_ends_the_drain_of_the_node_selected() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", "◇ node-02", pilot=pilot)
        await pilot.press("G", "R")
        await shows(app, "Resume node-02?", "nova resume node-02", pilot=pilot)
        await pilot.press("y")
        await shows(app, "node-02 takes work again", pilot=pilot)
        assert mesh.resumed == [node_id(2)]

    play(scene, FakeMesh(nodes=[node(0), node(1), node(2, draining=True)]))


def test_a_dead_letter_is_requeued_and_its_command_copied() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        await pilot.press("3")
        await shows(app, "3 set aside", "no luck 7", pilot=pilot)
        await pilot.press("R")
        found = await shows(
            app, "Requeue n0000000-", "the same: nova requeue n0000000-", pilot=pilot
        )
        await pilot.press("c")
        assert app.clipboard in found
        assert not mesh.requeued
        await pilot.press("R", "y")
        found = await shows(app, "requeued 1", pilot=pilot)
        assert "no luck 7" not in found
        await pilot.press("y")
        assert app.clipboard.startswith("nova requeue n0000000-")
        await pilot.press("A")
        await shows(app, "Requeue 2 dead letters?", pilot=pilot)
        await pilot.press("y")
        await shows(app, "requeued 2", "no dead letters", pilot=pilot)
        assert sorted(mesh.requeued) == ["n0000000-5", "n0000000-6", "n0000000-7"]

    play(scene, small_mesh(tasks=[failed(5), failed(6), failed(7), task(8)]))


def test_a_volatile_task_that_failed_is_no_dead_letter() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        for no in (80, 90):
            id = f"{node_id(0)[:8]}-{no}"
            await mesh.tell(event.Accepted("r", id, 1, ("core.echo",), volatile=no == 90))
            await mesh.tell(
                event.Finished((Outcome(id, Status.FAILED, None, Failure("raised", f"why {no}")),))
            )
        await pilot.press("3")
        found = await shows(app, "1 set aside", "why 80", pilot=pilot)
        assert "why 90" not in found

    play(scene, small_mesh(tasks=[task(8)]))


def test_why_a_dead_letter_could_not_be_requeued_is_told() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        await pilot.press("3")
        await shows(app, "1 set aside", pilot=pilot)
        mesh.tasks = [task(5)]
        await pilot.press("R", "y")
        await shows(app, "not requeued: task n0000000-5 is no dead letter", pilot=pilot)
        await pilot.press("colon", *"requeue n0000000-9", "enter", "y")
        await shows(app, "task n0000000-9 is no dead letter", pilot=pilot)

    play(scene, small_mesh(tasks=[failed(5)]))


def test_what_is_out_of_the_ordinary_is_marked_and_told() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await mesh.tell(event.Anomaly("rate", 900.0, 10.0, 12.0, False))
        await shows(app, "≉", "rate is 900, was about 10", pilot=pilot)
        await pilot.press("4")
        await shows(app, "anomaly: rate is 900, was about 10  (+12.0 sigmas)", pilot=pilot)
        await pilot.press("slash", *"kind:anomaly", "enter")
        await shows(app, "1 kept", pilot=pilot)
        await mesh.tell(event.Anomaly("rate", 11.0, 10.0, 0.1, True))
        await shows(app, "anomaly over: rate is ordinary again", pilot=pilot)
        await pilot.press("escape", "1")
        assert "≉" not in await shows(app, "LIVE", "node-02", pilot=pilot)
        await pilot.press("question_mark", "end")
        await shows(app, "≉", "a series is out of its ordinary range", pilot=pilot)

    play(scene, small_mesh())


def test_a_run_again_tells_what_it_is_another_try_of() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        await pilot.press("3")
        await shows(app, "1 set aside", pilot=pilot)
        await pilot.press("a")
        await shows(app, "core.echo", "value", pilot=pilot)
        await pilot.press("enter")
        await until(lambda: bool(mesh.submitted))
        assert mesh.again_of == ["n0000000-5"]

    play(scene, small_mesh(tasks=[failed(5)]))


def test_cancel_asks_first_and_tells_the_command() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("2")
        await shows(app, "▶ n0000000-1", pilot=pilot)
        await pilot.press("c")
        await shows(app, "Cancel n0000000-1", "nova cancel n0000000-1", pilot=pilot)
        await pilot.press("escape")
        assert not mesh.cancelled
        await pilot.press("c", "y")
        await shows(app, "is cancelled", pilot=pilot)
        assert mesh.cancelled == ["n0000000-1"]

    play(scene, small_mesh(tasks=[task(1, Status.RUNNING)]))


def test_what_a_node_refuses_is_said() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("colon", *"show", "space", *"nobody-1", "enter")
        await shows(app, "no task nobody-1; look again", pilot=pilot)

    play(scene, small_mesh())


def test_a_task_is_started_from_its_card() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("6")
        await shows(app, "core.echo value:json", pilot=pilot)
        await pilot.press("enter")
        await shows(app, "value*", "how often; int, may stay empty", "fill in what", pilot=pilot)
        await pilot.press("enter")
        await shows(app, "value is missing", pilot=pilot)
        await pilot.press(*"hello", "down", "end", "backspace", "x", "enter")
        await shows(app, "count takes int", pilot=pilot)
        await pilot.press("backspace", "7")
        await shows(app, "nova run core.echo --json-args", pilot=pilot)
        await pilot.press("enter")
        await shows(app, "Tasks ▸ n0000000-901", pilot=pilot)
        assert mesh.submitted == [("core.echo", {"value": "hello", "count": 7, "loud": False})]

    play(scene, small_mesh())


def test_a_dead_letter_is_run_again_with_its_arguments() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("3")
        await shows(app, "no luck 2", pilot=pilot)
        await pilot.press("a")
        await shows(app, "Run ▸ core.echo", pilot=pilot)
        await pilot.press("enter")
        await shows(app, "Tasks ▸ n0000000-901", pilot=pilot)
        assert mesh.submitted == [("core.echo", {"value": 2, "count": 1, "loud": False})]

    play(scene, small_mesh(tasks=[task(1), failed(2)]))


def test_copy_gives_the_equivalent_command() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("2")
        await shows(app, "n0000000-1", pilot=pilot)
        await pilot.press("y")
        await shows(app, "copied: nova show n0000000-1", pilot=pilot)
        assert app.clipboard == "nova show n0000000-1"

    play(scene, small_mesh(tasks=[task(1)]))


# ---------------------------------------------------------------- live and past


def test_events_are_followed_and_unfold() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("4")
        await shows(app, "LIVE", "no events", pilot=pilot)
        await mesh.tell(event.PeerChanged(node_id(1), "node-01", "suspect", "silent"))
        await shows(app, "peer node-01 is suspect  silent", "following", pilot=pilot)
        await mesh.tell(event.PeerChanged(node_id(2), "node-02", "dead", "gone"), owner=1)
        await shows(app, "node-01", "peer node-02 is dead", "of 3 nodes", pilot=pilot)
        await pilot.press("enter")
        await shows(app, '"kind": "peerchanged"', '"why": "gone"', pilot=pilot)

    play(scene, small_mesh())


def test_a_pause_holds_what_is_shown_and_live_goes_on_below() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("4")
        await shows(app, "LIVE", "no events", pilot=pilot)
        await pilot.press("space")
        await mesh.tell(event.PeerChanged(node_id(1), "node-01", "suspect", "silent"))
        await until(lambda: bool(app.tab.live.events))
        assert "is suspect" not in await shows(app, "PAUSED", pilot=pilot)
        await pilot.press("space")
        await shows(app, "LIVE", "peer node-01 is suspect", pilot=pilot)

    play(scene, small_mesh())


def test_a_replay_plays_moves_every_view_and_changes_nothing() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        for at, fact in split_story():
            await mesh.tell(fact, at=at)
        await pilot.press("5")
        await shows(app, "5/8", pilot=pilot)
        await pilot.press("z")
        await shows(app, "REPLAY", pilot=pilot)
        for _ in range(12):
            await pilot.press("less_than_sign")
        await shows(app, "0 of 1 steps", pilot=pilot)
        await pilot.press("2")
        assert app.tab.replay is not None
        app.tab.replay.seek(NOW - 29)
        await shows(app, "▶ n0000000-1", "0/1 parts", pilot=pilot)
        await pilot.press("c")
        await shows(app, "this is the past", pilot=pilot)
        for _ in range(6):
            await pilot.press("plus")
        await pilot.press("space")
        await shows(app, "6/9 parts", pilot=pilot)
        await pilot.press("z")
        await shows(app, "LIVE", pilot=pilot)
        assert not mesh.cancelled

    play(scene, small_mesh())


def test_several_meshes_are_tabs() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", "[  lab", pilot=pilot)
        await pilot.press("right_square_bracket")
        assert app.active == 1
        await shows(app, "LIVE", "3/3 up", pilot=pilot)
        assert app.tab.live.home == node_id(1)

    async def main() -> None:
        mesh = small_mesh()
        app = console(mesh, "127.0.0.1:7600", "127.0.0.1:7601")
        async with app.run_test(size=(120, 40)) as pilot:
            await scene(pilot, app, mesh)

    asyncio.run(main())


def test_a_flow_step_opens_its_task() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        for at, fact in split_story():
            await mesh.tell(fact, at=at)
        await pilot.press("5")
        await shows(app, "shard 7", pilot=pilot)
        await pilot.press("down", "enter")
        await shows(app, "Tasks ▸ n0000000-3", pilot=pilot)

    play(scene, small_mesh(tasks=[]))


# ---------------------------------------------------------------- what was recorded


def test_charts_tell_anomalies_forecast_and_the_time_before() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await pilot.press("7")
        await shows(app, "≉ node-01: lag_ms is 400, ordinarily 2", "→ 61 tasks/s ± 2", pilot=pilot)
        await pilot.press("n", "c")
        await shows(app, "Metrics · 1 h, and the time before", "  before", pilot=pilot)
        await pilot.press("slash", *"memory", "enter")
        assert "TASKS THAT" not in await shows(app, "MEMORY OF THE NODE", "61 B", pilot=pilot)

    play(scene, small_mesh())


def test_sql_shows_rows_and_who_did_not_answer() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        await pilot.press("8", *"oops", "enter")
        await shows(app, "there is no table oops; see docs/metrics.md", pilot=pilot)
        query = app.query_one("#query", Input)
        query.value = "SELECT 1 / 2"
        await pilot.press("enter")
        await shows(app, "node-02  core.echo", "3 rows · more at node-01", pilot=pilot)
        await shows(app, "did not answer: node-09", pilot=pilot)
        await pilot.press("y")
        assert app.clipboard == "nova sql 'SELECT 1 / 2'"
        await pilot.press("slash", *"node-02", "enter")
        assert "node-01  core" not in await shows(app, "node-02  core.echo", pilot=pilot)
        await pilot.press("tab", "escape", "1")
        await shows(app, "Topology", pilot=pilot)

    play(scene, small_mesh())


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("theme = 'pink'", "there is no theme 'pink'"),
        ("keys = 1", "keys is a table"),
        ("[keys]\nfly = 'x'", "there is no action 'fly'"),
        ("[keys]\nquit = 1", "the key of quit is a text"),
        ("colour = 1", "there is no setting 'colour'"),
        ("theme =", "is not TOML"),
    ],
)
def test_wrong_settings_name_the_fix(tmp_path: Path, written: str, says: str) -> None:
    file = tmp_path / "console.toml"
    file.write_text(written)
    with pytest.raises(Invalid) as error:
        settings.read(file, themes.NAMES, [a.id for a in actions.ACTIONS])
    assert says in error.value.message
    assert error.value.fix


def test_settings_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "console.toml"
    known = [a.id for a in actions.ACTIONS]
    assert settings.read(file, themes.NAMES, known) == Settings()
    file.write_text("theme = 'nova-light'\n[keys]\nquit = 'ctrl+q'\n")
    assert settings.read(file, themes.NAMES, known) == Settings(themes.LIGHT, {"quit": "ctrl+q"})
    file.write_text('begin = "tasks"')
    assert settings.read(file, themes.NAMES, known).begin == "tasks"
    monkeypatch.setenv("NOVA_CONSOLE_BEGIN", "flow k7q2m9xd-1")
    assert settings.read(file, themes.NAMES, known).begin == "flow k7q2m9xd-1"


def test_it_begins_with_what_it_is_told() -> None:
    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        for at, fact in split_story():
            await mesh.tell(fact, at=at)
        await shows(app, "Flow of n0000000-1", "5/8", pilot=pilot)

    play(scene, small_mesh(), settings=Settings(begin="flow n0000000-1"))


def test_the_screen_is_read_whole() -> None:
    """What the other tests stand on."""

    async def scene(pilot: Any, app: Console, mesh: FakeMesh) -> None:
        await shows(app, "LIVE", pilot=pilot)
        assert len(text(app).splitlines()) == 40

    play(scene, small_mesh())


@pytest.mark.parametrize(
    ("kind", "left_out"), [(Page, "line"), (Pane, "command"), (Sheet, "lines")]
)
def test_a_widget_that_leaves_something_out_is_not_made(kind: type[Any], left_out: str) -> None:
    def said(*_: object) -> None:
        return None

    missing: frozenset[str] = kind.__abstractmethods__
    half: Any = type("Half", (kind,), dict.fromkeys(missing - {left_out}, said))
    with pytest.raises(TypeError, match=f"'?{left_out}'?$"):
        half()
