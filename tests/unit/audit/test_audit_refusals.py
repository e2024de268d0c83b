from __future__ import annotations

from typing import Any

from nova_node.audit.refusals import EVERY_S, KINDS_MAX, Refusals


class Notes:
    def __init__(self) -> None:
        self.now = 0.0
        self.found: list[tuple[tuple[str, ...], dict[str, Any]]] = []

    def note(self, *words: str, **details: Any) -> None:
        self.found.append((words, details))


def test_the_first_is_noted_and_the_rest_are_counted() -> None:
    notes = Notes()
    refusals = Refusals(notes.note, lambda: notes.now)
    for port in range(1000):
        refusals.refused("observer/eve", f"192.0.2.9:{port}", "/x/Submit", "forbidden")
    refusals.refused("observer/eve", "192.0.2.9:1", "/x/Cancel", "forbidden")
    words = ("observer/eve", "192.0.2.9:0", "refused", "/x/Submit")
    assert notes.found[0] == (words, {"code": "forbidden", "count": 1})
    assert len(notes.found) == 2
    notes.now = EVERY_S
    refusals.refused("observer/eve", "192.0.2.9:5", "/x/Submit", "forbidden")
    assert notes.found[2][1] == {"code": "forbidden", "count": 1000}


def test_many_callers_take_no_more_than_so_much_room() -> None:
    notes = Notes()
    refusals = Refusals(notes.note, lambda: notes.now)
    for n in range(5 * KINDS_MAX):
        refusals.refused(f"worker/{n}", "192.0.2.9:5", "/x/Submit", "forbidden")
    assert len(notes.found) == KINDS_MAX + 1
    notes.now = EVERY_S
    for n in range(KINDS_MAX):
        refusals.refused("worker/0", f"192.0.2.{n}:5", "/x/Submit", "forbidden")
    told = sum(details["count"] for _, details in notes.found)
    assert told == 6 * KINDS_MAX
