"""The lines above and below every view: where one is, how true it is, which keys there are. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

from nova_console.app import looks
from nova_console.app.actions import FOOTER, REPLAY_FOOTER, VIEWS
from nova_console.app.canvas import Line
from nova_console.app.links import sides
from nova_console.app.model import STALE_S
from nova_console.app.tab import Scene, Tab
from nova_console.cli.output import escape_line, span

_BADGES = {"LIVE": "live", "PAUSED": "paused", "REPLAY": "replay", "OFFLINE": "offline"}


def status(scene: Scene, tab: Tab, crumb: str, width: int) -> Line:
    world = scene.world
    where = escape_line(tab.title)
    left: Line = [(" nova ", "title"), (f"▸ {where} ▸ {crumb} ", ""), *_peers(scene)]
    badge, style = _badge(scene, tab)
    age_s = scene.now - world.heard_at
    if scene.mode in ("LIVE", "OFFLINE") and world.heard_at:
        old = "stale" if age_s > STALE_S else "dim"
        left.append((f" data {span(age_s)} old", old))
    left = _cut(left, width - len(badge))
    room = width - sum(len(text) for text, _ in left) - len(badge)
    return [*left, (" " * max(0, room), ""), (badge, style)]


def _cut(line: Line, width: int) -> Line:
    """Whole pieces only, so that the badge is never pushed off the screen."""
    cut: Line = []
    for text, style in line:
        width -= len(text)
        if width >= 0:
            cut.append((text, style))
    return cut


def _badge(scene: Scene, tab: Tab) -> tuple[str, str]:
    style = _BADGES[scene.mode]
    if scene.mode == "REPLAY" and tab.replay is not None:
        clock = time.strftime("%H:%M:%S", time.localtime(scene.now))
        how = f"▶ {tab.replay.speed}x" if tab.replay.playing else "■"
        return f" REPLAY {clock} {how} ", style
    return f" {scene.mode} ", style


def _peers(scene: Scene) -> Line:
    world, now = scene.world, scene.now
    if not world.nodes:
        return []
    states = [looks.of_node(world, view, now) for view in world.nodes.values()]
    line: Line = [(f"{sum(s in _HERE for s in states)}/{len(states)} up ", "")]
    for look in (looks.SUSPECT, looks.DOWN, looks.STALE):
        count = states.count(look)
        if count:
            line.append((f"{look.glyph} {count} {look.word} ", look.style))
    groups = sides(world, now)
    if len(groups) > 1:
        line.append((f"PARTITION {' | '.join(str(len(group)) for group in groups)} ", "down"))
    return line


_HERE = (looks.UP, looks.BUSY, looks.DRAINING)


def tabs(view: str, meshes: Sequence[str], active: int) -> Line:
    line: Line = []
    for number, (id, title, _) in enumerate(VIEWS, 1):
        chosen = id == view
        line += [(f" {number} ", "key"), (f"{title} ", "selected title" if chosen else "")]
    if len(meshes) > 1:
        line.append(("   [ ", "key"))
        for index, mesh in enumerate(meshes):
            chosen = index == active
            line.append((f" {escape_line(mesh)} ", "selected title" if chosen else "dim"))
        line.append((" ] ", "key"))
    return line


def slider(tab: Tab, width: int) -> Line:
    """Under the status bar while a replay is on."""
    replay = tab.replay
    if replay is None:
        return []
    begin = time.strftime(" %H:%M:%S ", time.localtime(replay.tape.begin))
    end = time.strftime(" %H:%M:%S ", time.localtime(replay.tape.end))
    room = width - len(begin) - len(end)
    return [(begin, "dim"), *replay.slider(room), (end, "dim")]


def footer(view: str, scene: Scene, width: int) -> Line:
    """Whole hints only; ? and q always."""
    always = (("?", "help"), ("q", "quit"))
    own = REPLAY_FOOTER if scene.mode == "REPLAY" else (*FOOTER[view], *FOOTER[""])
    line: Line = []
    left = width - sum(_hint_cells(hint) for hint in always)
    for hint in own:
        left -= _hint_cells(hint)
        if left >= 0:
            line += _hint(*hint)
    return [*line, *(piece for hint in always for piece in _hint(*hint))]


def _hint(key: str, text: str) -> Line:
    return [(f" {key} ", "key"), (f"{text} ", "")]


def _hint_cells(hint: tuple[str, str]) -> int:
    return len(hint[0]) + len(hint[1]) + 3


def trouble(scene: Scene) -> Line:
    """Above the view when the node asked is lost, a person's task list is not whole, or the like."""
    lost = scene.world.lost
    if lost is not None:
        left = span(max(0.0, lost.retry_at - scene.now))
        said = escape_line(lost.message)
        return [(f" ✖ {said}", "down"), (f"  again in {left}; r now, o another node", "")]
    if scene.world.missing:
        names = ", ".join(escape_line(scene.world.name(node)) for node in scene.world.missing)
        return [(f" {looks.SUSPECT.glyph} did not answer for their tasks: {names}", "suspect")]
    return []


def plight(scene: Scene, what: str, hint: str) -> list[Line]:
    """Why a view is empty: nothing has come yet, nothing can come, or there is nothing."""
    world = scene.world
    if world.lost is not None and not world.nodes:
        lines: list[Line] = [[("", "")], [(f"  ✖ {escape_line(world.lost.message)}", "down")]]
        if world.lost.fix:
            lines.append([(f"  fix: {escape_line(world.lost.fix)}", "")])
        return [*lines, [("  r tries now, q quits; it goes on trying", "dim")]]
    if not world.nodes:
        where = world.address or "the node of this machine"
        return [[("", "")], [(f"  … asking {where}", "dim")]]
    return [[("", "")], [(f"  no {what}", "")], [(f"  {hint}", "dim")]]
