"""What the console makes of what it hears: the fold, replays, steps, links, places, filters."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace

import pytest
from nova_client import Invalid, Outcome, Status, event, filters
from nova_client.event import Event
from nova_client.model import Failure, NodeList, TaskList
from nova_console.app import flow_lines, form, looks, topology
from nova_console.app import history as history_module
from nova_console.app.canvas import Canvas, wrap
from nova_console.app.history import FRAME_EVERY, INPUTS_MAX, History
from nova_console.app.inputs import Blind, Input, Joined, Listed, Looked, Lost, Told
from nova_console.app.layout import settle
from nova_console.app.links import links, sides, suspected_by
from nova_console.app.model import EVENTS_MAX, ODD_MAX, SAMPLES_MAX, TASKS_MAX, World
from nova_console.app.replay import Replay
from nova_console.app.steps import Plan, Step
from nova_console.app.task_lines import about
from nova_console.app.task_steps import plan_of, plan_of_views
from support.console_world import CARDS, NOW, node, node_id, split_story, task

TAG = node_id(0)[:8]


def told(seq: int, fact: event.Fact, at: float = NOW, owner: int = 0) -> Told:
    return Told(at, Event(seq, at, node_id(owner), fact))


def looked(viewer: int = 0, count: int = 3, at: float = NOW, **states: str) -> Looked:
    """`states` by index, as n1="dead"."""
    views = [node(i, state=states.get(f"n{i}", "alive"), self=i == viewer) for i in range(count)]
    return Looked(at, node_id(viewer), NodeList("lab", tuple(views)))


def world(*inputs: Input) -> World:
    made = World()
    for given in (Joined(NOW, "127.0.0.1:7600", node_id(0)), *inputs):
        made.take(given)
    return made


def story(count: int = 8, done: int = 5) -> list[Input]:
    return [told(i, fact, at) for i, (at, fact) in enumerate(split_story(count, done), 1)]


def done(no: int, at: float = NOW, status: Status = Status.DONE) -> event.Finished:
    return event.Finished((Outcome(f"{TAG}-{no}", status, None, None, 1, node_id(1), at - 1, 5),))


# ---------------------------------------------------------------- the fold


def test_a_task_goes_from_accepted_to_its_end() -> None:
    steps: list[tuple[event.Fact, Status]] = [
        (event.Accepted("r", f"{TAG}-1", 1, ("core.echo",)), Status.WAITING),
        (event.Assigned(node_id(1), (f"{TAG}-1",)), Status.RUNNING),
        (event.Retried(done(1).outcomes[0], NOW + 1, True), Status.BACKOFF),
        (event.Assigned(node_id(2), (f"{TAG}-1",)), Status.RUNNING),
        (done(1), Status.DONE),
    ]
    made = world(looked())
    for seq, (fact, status) in enumerate(steps, 1):
        made.take(told(seq, fact))
        assert made.tasks[f"{TAG}-1"].status is status
    assert made.ends[Status.DONE] == 1
    assert made.tasks[f"{TAG}-1"].attempt == 1  # as its owner counts them


def test_a_dead_letter_that_is_requeued_begins_anew() -> None:
    made = world(looked(), *story())
    dead = Outcome(f"{TAG}-1", Status.FAILED, None, Failure("raised", "no luck"))
    made.take(told(90, event.Finished((dead,))))
    assert made.tasks[f"{TAG}-1"].why == "no luck"
    made.take(told(91, event.Requeued((f"{TAG}-1", f"{TAG}-777"))))
    row = made.tasks[f"{TAG}-1"]
    assert (row.status, row.why, row.grown, row.children) == (Status.WAITING, "", (), 0)
    made.take(told(92, event.Grown(f"{TAG}-1", f"{TAG}-50", 1, "split")))
    assert [child.id for child, _ in made.children(made.tasks[f"{TAG}-1"])] == [f"{TAG}-50"]
    assert about(told(91, event.Requeued((f"{TAG}-1",))).event, f"{TAG}-1")


def test_anomalies_are_kept_while_they_last_and_bounded() -> None:
    made = world(looked())
    for seq in range(2 * ODD_MAX):
        made.take(told(seq, event.Anomaly(f"latency:a.b{seq}", 9.0, 1.0, 8.0, False)))
        made.take(told(seq, event.Anomaly("rate", 9.0, 1.0, 8.0, False)))
    assert len(made.odd[node_id(0)]) == ODD_MAX + 1
    for one in made.odd[node_id(0)]:
        made.take(told(99, event.Anomaly(one.series, 1.0, 1.0, 0.0, True)))
    made.take(looked())
    assert not made.odd


def test_a_plan_is_made_of_what_a_node_tells_too() -> None:
    ids = [f"{TAG}-{no}" for no in range(1, 6)]
    children = [
        task(2, phase="split", parent=ids[0]),
        task(3, parent=ids[0]),
        task(4, Status.RUNNING, parent=ids[0]),
        task(5, phase="merge", parent=ids[0], parts=(ids[2], ids[3])),
    ]
    plan = plan_of_views(task(1, Status.RUNNING, children_total=4), children)
    assert [step.label for step in plan.steps] == ["split", "shard 0", "shard 1", "merge"]
    assert plan.needs(plan.by_id[ids[4]]) == (ids[2], ids[3])
    assert plan.needs(plan.by_id[ids[3]]) == (ids[1],)
    (alone,) = plan_of_views(task(1), []).steps
    assert (alone.id, alone.state) == (ids[0], "done")


def test_a_list_and_the_events_it_overlaps_count_parts_once() -> None:
    view = task(1, Status.RUNNING, children_total=9, children_done=6, capability="text.words")
    made = world(Listed(NOW, TaskList((view,), (), 1), True), *story())
    row = made.tasks[f"{TAG}-1"]
    assert (row.children_done, row.children) == (6, 9)


def test_history_is_bounded_whatever_comes() -> None:
    made = world(looked())
    for seq in range(1, 8):
        fact = event.Accepted(f"r{seq}", f"{TAG}-{seq * 4096}", 4096, ("core.echo",))
        made.take(told(seq, fact))
    made.take(told(9, event.Accepted("big", f"{TAG}-900000", 1_000_000, ("core.echo",))))
    assert len(made.tasks) <= TASKS_MAX
    for seq in range(EVENTS_MAX + 10):
        made.take(told(seq, done(7)))
    for second in range(SAMPLES_MAX + 10):
        made.take(looked(at=NOW + second))
    assert len(made.events) == EVENTS_MAX
    assert {len(samples) for samples in made.samples.values()} == {SAMPLES_MAX}


def test_what_has_ended_is_forgotten_before_what_has_not() -> None:
    made = world(told(1, event.Accepted("r", f"{TAG}-1", 100, ("core.echo",))))
    for no in range(50, 101):
        made.take(told(no, done(no)))
    made.take(told(2, event.Accepted("r2", f"{TAG}-1000", TASKS_MAX - 60, ("core.echo",))))
    assert f"{TAG}-1" in made.tasks
    assert f"{TAG}-60" not in made.tasks


def test_a_peer_that_changes_shows_at_once() -> None:
    made = world(looked(), looked(1))
    made.take(told(1, event.PeerChanged(node_id(2), "node-02", "suspect", "silent")))
    assert made.nodes[node_id(2)].state == "suspect"
    assert suspected_by(made, node_id(2)) == [node_id(0)]


def test_a_lost_node_leaves_what_was_known_and_marks_it_stale() -> None:
    made = world(looked(), Lost(NOW, "127.0.0.1:7600", "gone", "start it", NOW + 1))
    assert len(made.nodes) == 3
    assert looks.of_node(made, made.nodes[node_id(1)], NOW) is looks.STALE


def test_a_copy_stays_as_it_was() -> None:
    made = world(looked(), *story())
    copy = made.copy()
    made.take(told(99, done(9)))
    made.take(looked(n1="dead"))
    assert copy.tasks[f"{TAG}-9"].status is Status.RUNNING
    assert copy.nodes[node_id(1)].state == "alive"
    assert len(copy.events) == len(made.events) - 1


# ---------------------------------------------------------------- replay


def test_a_tape_shows_any_moment_as_it_was_live() -> None:
    history, live = History(), World()
    inputs: list[Input] = [Joined(NOW - 40, "a", node_id(0)), looked(at=NOW - 40)]
    for seq in range(1, 2 * FRAME_EVERY):
        fact = event.Accepted(f"r{seq}", f"{TAG}-{seq}", 1, ("core.echo",))
        inputs.append(told(seq, fact, NOW - 39 + seq / 100))
    moments: list[tuple[float, int]] = []
    for given in inputs:
        live.take(given)
        history.add(given)
        moments.append((given.at, len(live.tasks)))
    tape = history.tape()
    drawn = random.Random(7)
    for at, tasks in [*drawn.sample(moments, 40), moments[FRAME_EVERY], moments[-1]]:
        assert len(tape.at(at).tasks) == tasks, at


def test_what_came_late_is_replayed_in_its_place() -> None:
    history = History()
    for given in (looked(at=NOW), *reversed(story())):
        history.add(given)
    tape = history.tape()
    assert tape.at(NOW - 29.5).tasks[f"{TAG}-1"].children == 1
    assert tape.at(NOW - 20.5).tasks[f"{TAG}-1"].children_done == 3


def test_before_the_first_look_nodes_are_known_by_name_only() -> None:
    history = History()
    for given in (*story(), Joined(NOW, "a", node_id(0)), looked(at=NOW)):
        history.add(given)
    then = history.tape().at(NOW - 20)
    assert {looks.of_node(then, view, NOW - 20) for view in then.nodes.values()} == {looks.STALE}


def test_the_record_is_bounded_and_its_end_stays_right() -> None:
    history = History()
    for seq in range(INPUTS_MAX + 500):
        fact = event.Accepted(f"r{seq}", f"{TAG}-{seq + 1}", 1, ("core.echo",))
        history.add(told(seq + 1, fact, NOW + seq))
    assert len(history) == INPUTS_MAX
    tape = history.tape()
    assert tape.begin == NOW + 500
    assert f"{TAG}-1" in tape.at(tape.begin).tasks


def test_looks_at_a_large_mesh_share_what_lasts_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history, nodes, most = History(), 100, 10_000
    monkeypatch.setattr(history_module, "VIEWS_MAX", most)
    looks = most // nodes + 20
    tracemalloc.start()
    try:
        for second in range(looks):
            history.add(looked(count=nodes, at=NOW + second))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(history) == most // nodes
    assert taken < most * 500
    tape = history.tape()
    assert (tape.begin, tape.end) == (NOW + 20, NOW + looks - 1)
    assert len(tape.at(tape.begin).nodes) == nodes


def test_a_replay_plays_at_its_speed_and_stops_at_the_end() -> None:
    history = History()
    history.add(looked(at=NOW))
    history.add(looked(at=NOW + 100))
    replay = Replay(history.tape(), NOW + 500)
    assert replay.at == NOW + 100
    replay.step(-1.0)
    replay.faster(3)
    replay.playing = True
    replay.play(2.0)
    assert (replay.speed, replay.at) == (10, NOW + 20)
    replay.faster(100)
    replay.play(9.0)
    assert (replay.speed, replay.at, replay.playing) == (100, NOW + 100, False)
    assert "".join(text for text, _ in replay.slider(11)) == "━" * 10 + "◆"


# ---------------------------------------------------------------- steps


def step(id: str, *needs: str, begin: float = 0.0, end: float = 0.0, kind: str = "run") -> Step:
    state = "done" if end else "running" if begin else "waiting"
    return Step(id, id, kind, needs, state, "n" if begin else "", begin, end)


def test_what_ended_is_not_made_anew_by_each_list() -> None:
    made = world(looked())
    ended, runs = task(1), task(2, Status.RUNNING)
    made.take(Listed(NOW, TaskList((ended, runs), (), 2), of_all=True))
    before = dict(made.tasks)
    requeued = replace(ended, status=Status.WAITING, ended_at=0.0)
    made.take(Listed(NOW, TaskList((ended, runs), (), 2), of_all=True))
    assert made.tasks[ended.id] is before[ended.id]
    made.take(Listed(NOW, TaskList((requeued,), (), 2), of_all=False))
    assert made.tasks[ended.id].status is Status.WAITING
    assert made.tasks[ended.id].ended_at == 0.0


def test_the_critical_path_is_what_the_end_hung_on() -> None:
    plan = Plan(
        [
            step("join", "slow", "fast", begin=9, end=10),
            step("fast", "cut", begin=2, end=3),
            step("slow", "cut", begin=2, end=9),
            step("cut", "nothing that exists", begin=1, end=2),
        ]
    )
    assert plan.critical_path(20) == ("cut", "slow", "join")
    assert [[s.id for s in level] for level in plan.levels()] == [
        ["cut"],
        ["fast", "slow"],
        ["join"],
    ]
    assert plan.forecast(20) is None


def test_a_forecast_deals_what_is_left_to_as_many_lanes_as_there_were() -> None:
    steps = [step(f"d{i}", begin=1, end=3) for i in range(2)]
    steps += [step("r0", begin=3), step("r1", begin=3)]
    steps += [step(f"w{i}") for i in range(4)]
    forecast = Plan(steps).forecast(4)
    assert forecast is not None
    assert (forecast.ends_at, forecast.error_s) == (9.0, 0.0)


def test_a_forecast_that_is_already_wrong_says_by_how_much() -> None:
    forecast = Plan([step("a", begin=1, end=3), step("b", begin=3)]).forecast(15)
    assert forecast is not None
    assert forecast.ends_at == 15
    assert forecast.error_s == 10


def test_nothing_is_foretold_before_anything_has_ended() -> None:
    assert Plan([step("a", begin=1), step("b")]).forecast(5) is None
    assert Plan([]).critical_path(5) == ()


def test_what_was_cancelled_is_no_longer_awaited() -> None:
    merged = step("join", "a", begin=3, end=4, kind="merge")
    superseded = Step("old", "old", "merge", ("a",), "cancelled")
    plan = Plan([step("a", begin=1, end=3), merged, superseded])
    assert plan.is_over
    lines = flow_lines.summary(flow_lines.Gantt(plan, 9.0, str), 9.0)
    text = ["".join(part for part, _ in line) for line in lines]
    assert "2 of 2 steps" in text[0]
    assert "1 cancelled" in text[0]
    assert text[-1] == "took     3.0s"
    assert "".join(part for part, _ in flow_lines.graph(plan, 80)[0]) == (
        "[ run ×1  1/1 ] ─▶ [ merge ×1  1/1 ]"
    )


def test_ten_thousand_steps_are_planned() -> None:
    shards = [step(f"s{i}", "cut", begin=1 + i / 100, end=2 + i / 100) for i in range(10_000)]
    plan = Plan([step("cut", begin=0.5, end=1), *shards])
    assert plan.critical_path(200) == ("cut", "s9999")


def test_a_split_task_is_a_plan() -> None:
    made = world(looked(), *story(3, 3))
    merge = event.Grown(f"{TAG}-1", f"{TAG}-50", 1, "merge", (f"{TAG}-3", f"{TAG}-5"))
    made.take(told(90, merge))
    plan = plan_of(made, made.tasks[f"{TAG}-1"])
    assert plan.by_id[f"{TAG}-4"].needs == (f"{TAG}-2",)
    assert plan.by_id[f"{TAG}-50"].needs == (f"{TAG}-3", f"{TAG}-5")
    assert plan.steps[0].kind == "split"
    assert len(plan.steps) == 5


# ---------------------------------------------------------------- links and places


def test_one_way_links_and_lost_ones_are_told_apart() -> None:
    made = world(looked(), looked(1, n2="suspect"), looked(2))
    by_pair = {(link.a, link.b): link for link in links(made, NOW)}
    pair = by_pair[node_id(1), node_id(2)]
    assert (pair.state, pair.blind) == ("one_way", node_id(1))
    assert by_pair[node_id(0), node_id(2)].state == "ok"
    made.take(looked(2, n1="dead"))
    assert {(link.a, link.b): link.state for link in links(made, NOW)}[
        node_id(1), node_id(2)
    ] == "lost"


def test_both_sides_of_a_partition_are_seen() -> None:
    left = [looked(i, 4, n2="dead", n3="dead") for i in (0, 1)]
    right = [looked(i, 4, n0="dead", n1="dead") for i in (2, 3)]
    made = world(*left, *right)
    halves = [{node_id(0), node_id(1)}, {node_id(2), node_id(3)}]
    assert [set(side) for side in sides(made, NOW)] == halves


def test_a_node_that_died_is_no_partition() -> None:
    made = world(looked(n2="dead"), looked(1, n2="dead"), looked(2, at=NOW - 7))
    assert len(sides(made, NOW)) == 1
    made = world(looked(n2="dead"), looked(1, n2="dead"), looked(2), Blind(NOW, node_id(2), "gone"))
    assert len(sides(made, NOW)) == 1


def test_what_all_agree_on_draws_no_links() -> None:
    made = world(*[looked(i, 12, n5="dead") for i in range(12) if i != 5])
    assert sum(node_id(5) in (link.a, link.b) for link in links(made, NOW)) <= 4


def test_a_node_keeps_its_place_whoever_comes_and_goes() -> None:
    before = settle({}, [node_id(i) for i in range(10)])
    after = settle(before, [node_id(i) for i in range(5, 30)])
    assert all(after[node_id(i)] == before[node_id(i)] for i in range(5, 10))
    assert settle({}, [node_id(i) for i in reversed(range(10))]) == before


@pytest.mark.parametrize("count", [0, 1, 3, 12, 60, 300])
@pytest.mark.parametrize("size", [(20, 5), (78, 18), (196, 50)])
def test_a_picture_is_as_large_as_asked(count: int, size: tuple[int, int]) -> None:
    made = world(looked(count=count))
    sight = topology.Sight(made, settle({}, made.nodes), *size, NOW)
    lines = topology.draw(sight)
    assert [sum(len(text) for text, _ in line) for line in lines] == [size[0]] * size[1]


def test_tasks_travel_along_the_edges() -> None:
    made = world(looked(), told(1, event.Assigned(node_id(1), ("x-1",)), NOW - 0.5))
    places = settle({}, made.nodes)

    def pulses(at: float) -> int:
        lines = topology.draw(topology.Sight(made, places, 78, 20, at))
        return sum(style == "pulse" for line in lines for _, style in line)

    assert (pulses(NOW), pulses(NOW + 5)) == (1, 0)


def test_text_of_others_cannot_steer_the_terminal() -> None:
    made = world(looked())
    made.nodes[node_id(1)] = replace(node(1), name="a\x1b[2Jb")
    lines = topology.draw(topology.Sight(made, settle({}, made.nodes), 78, 20, NOW))
    assert "\x1b" not in "".join(text for line in lines for text, _ in line)


# ---------------------------------------------------------------- small things


@pytest.mark.parametrize(
    ("typed", "passes"),
    [
        ("", True),
        ("ECHO", True),
        ("echo failed", True),
        ("echo done", False),
        ("!done", True),
        ("!echo", False),
        ("status:fail", True),
        ("cap:fail", False),
        ("!status:fail", False),
        ("127.0.0.1:7600", True),
    ],
)
def test_filters(typed: str, passes: bool) -> None:
    fields = {"status": "failed", "cap": "core.echo", "why": "no node at 127.0.0.1:7600"}
    assert filters.parse(typed).passes(fields) is passes


def test_lines_are_wrapped_at_blanks() -> None:
    lines = wrap([[("one two", "a"), (" three four", "b")]], 10)
    assert ["".join(text for text, _ in line) for line in lines] == ["one two", "  three", "  four"]
    (long,) = {len("".join(t for t, _ in line)) <= 8 for line in wrap([[("x" * 50, "")]], 8)}
    assert long


def test_an_edge_leaves_text_alone() -> None:
    canvas = Canvas(9, 1)
    canvas.edge((0, 0), (8, 0), "link")
    canvas.text(3, 0, "abc", "up")
    ((before, _), (text, style), (after, _)) = canvas.lines()[0]
    assert (text, style, len(before), len(after)) == ("abc", "up", 3, 3)


def test_a_form_types_what_is_typed() -> None:
    filled = form.fill(CARDS[0], {"value": "[1]", "count": "", "loud": "true"})
    assert filled.args == {"value": [1], "loud": True}
    filled = form.fill(CARDS[1], {"files": "README.md"})
    assert (list(filled.inputs), filled.paths) == (["files"], {"files": "README.md"})
    with pytest.raises(Invalid, match="count takes int"):
        form.fill(CARDS[0], {"value": "1", "count": "x"})


def test_a_form_starts_with_what_is_given() -> None:
    texts = {field.name: field.text for field in form.fields(CARDS[0], {"value": {"a": 1}})}
    assert texts == {"value": '{"a": 1}', "count": "1", "loud": "false"}
