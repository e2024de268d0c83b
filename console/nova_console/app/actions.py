"""Everything a person can have done, once: bindings, palette, help and `:` are made of this table."""

from __future__ import annotations

from typing import NamedTuple


class Action(NamedTuple):
    """`call` is what the app runs. `view` "" works everywhere, otherwise in that view only."""

    id: str
    key: str
    text: str
    call: str
    view: str = ""


VIEWS = (
    ("mesh", "Mesh", ("nodes", "m", "topology")),
    ("tasks", "Tasks", ("t", "task")),
    ("dead", "Dead letters", ("d", "letters")),
    ("events", "Events", ("e", "watch")),
    ("flow", "Flow", ("f", "gantt")),
    ("run", "Run", ("r", "capabilities")),
    ("metrics", "Metrics", ("top", "stats", "charts")),
    ("sql", "SQL", ("s", "query")),
)
"""Id, title, aliases for `:`; the number keys follow this order."""

ACTIONS = (
    *(
        Action(f"view-{id}", str(number), f"Show {title}", f"view('{id}')")
        for number, (id, title, _) in enumerate(VIEWS, 1)
    ),
    Action("help", "question_mark", "Help: all keys", "help"),
    Action("command", "colon", "Type a command", "command"),
    Action("filter", "slash", "Filter this view", "filter"),
    Action("pause", "space", "Pause; in a replay, play or stop", "pause"),
    Action("replay", "z", "Time travel; again for live", "replay"),
    Action("back-in-time", "comma", "Replay: a step back", "seek(-0.01)"),
    Action("on-in-time", "full_stop", "Replay: a step on", "seek(0.01)"),
    Action("far-back", "less_than_sign", "Replay: far back", "seek(-0.1)"),
    Action("far-on", "greater_than_sign", "Replay: far on", "seek(0.1)"),
    Action("faster", "plus,equals_sign", "Replay: faster", "speed(1)"),
    Action("slower", "minus", "Replay: slower", "speed(-1)"),
    Action("theme", "t", "Next theme", "theme"),
    Action("copy", "y", "Copy the nova command that shows or does this", "copy"),
    Action("refresh", "r", "Refresh; when offline, try now", "refresh"),
    Action("other-node", "o", "Ask another node of the mesh", "other"),
    Action("maximise", "f", "Maximise the pane; again to restore", "maximise"),
    Action("next-mesh", "right_square_bracket", "Next mesh", "mesh(1)"),
    Action("previous-mesh", "left_square_bracket", "Previous mesh", "mesh(-1)"),
    Action("quit", "q", "Quit", "quit"),
    Action("drain", "D", "Drain the node", "pane('drain')", "mesh"),
    Action("resume", "R", "Resume the node: end its drain", "pane('resume')", "mesh"),
    Action("sort", "s", "Sort by another column", "pane('sort')", "tasks"),
    Action("cancel", "c", "Cancel the task", "pane('cancel')", "tasks"),
    Action("again", "a", "Run the task again, edited", "pane('again')", "tasks"),
    Action("flow-of", "w", "Show the task's flow", "pane('flow')", "tasks"),
    Action("requeue", "R", "Requeue the dead letter: fresh attempts", "pane('requeue')", "dead"),
    Action("requeue-all", "A", "Requeue all that are listed", "pane('requeue_all')", "dead"),
    Action("again-dead", "a", "Run the dead letter again, edited", "pane('again')", "dead"),
    Action("sort-dead", "s", "Sort by another column", "pane('sort')", "dead"),
    Action("next-flow", "n", "The split task before", "pane('next')", "flow"),
    Action("previous-flow", "p", "The split task after", "pane('previous')", "flow"),
    Action("cancel-flow", "c", "Cancel the task", "pane('cancel')", "flow"),
    Action("longer", "n", "A longer range", "pane('longer')", "metrics"),
    Action("shorter", "p", "A shorter range", "pane('shorter')", "metrics"),
    Action("compare", "c", "Compare with the time before", "pane('compare')", "metrics"),
)

FOOTER = {
    "": (("/", "filter"), (":", "command"), ("space", "pause"), ("z", "replay")),
    "mesh": (("↵", "node"), ("D", "drain"), ("R", "resume")),
    "tasks": (("↵", "task"), ("s", "sort"), ("c", "cancel"), ("w", "flow")),
    "dead": (("↵", "task"), ("R", "requeue"), ("A", "all"), ("a", "edited")),
    "events": (("↵", "unfold"), ("G", "tail")),
    "flow": (("n/p", "other task"), ("↵", "step")),
    "run": (("↵", "form"),),
    "metrics": (("n/p", "range"), ("c", "compare")),
    "sql": (("↵", "run it"), ("esc", "to the rows"), ("tab", "to the query")),
}
"""The few that the bottom line reminds of, beside help and quit; `?` tells all."""

REPLAY_FOOTER = (
    ("space", "play"),
    (", .", "step"),
    ("< >", "far"),
    ("+ -", "speed"),
    ("z", "live"),
)

MOVES = (
    ("arrows, hjkl", "move"),
    ("gg, G", "first, last"),
    ("page up, page down", "a page"),
    ("tab", "next pane"),
    ("enter", "in"),
    ("esc", "back; ends a filter, a pause, a replay"),
    ("ctrl+p", "palette"),
    ("ctrl+z", "suspend; fg comes back"),
)

_KEYS = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "comma": ",",
    "full_stop": ".",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "plus": "+",
    "equals_sign": "=",
    "minus": "-",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
}


def key_text(key: str) -> str:
    """As it stands on a keyboard."""
    return ", ".join(_KEYS.get(part, part) for part in key.split(","))


def find_view(word: str) -> str:
    """The view a word means, "" when none."""
    for id, title, aliases in VIEWS:
        if word in (id, title.lower(), *aliases):
            return id
    return ""
