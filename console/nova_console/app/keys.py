"""The table of actions as bindings. A person's keymap replaces keys by the action's id."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from nova_console.app.actions import ACTIONS

PROMPTS = ("filter", "command")
"""Keys typed right behind these belong to the line they open, so they are seen before all others."""


def bindings(view: str = "") -> list[BindingType]:
    """Of the whole console, or of one view."""
    where = "app." if view else ""
    return [
        Binding(
            action.key,
            f"{where}{action.call}",
            action.text,
            show=False,
            id=action.id,
            priority=action.id in PROMPTS,
        )
        for action in ACTIONS
        if action.view == view
    ]
