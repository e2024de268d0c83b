"""Colours: one palette a theme, by the style names that panes use. The only place that names one."""

from __future__ import annotations

import os
from functools import cache

from rich.style import Style
from textual.theme import Theme

DARK, LIGHT, CONTRAST = "nova-dark", "nova-light", "nova-contrast"

_PALETTES: dict[str, dict[str, str]] = {
    DARK: {
        "": "#d4d4d4 on #121212",
        "up": "#3fb950",
        "busy": "#d29922",
        "suspect": "#e3b341 bold",
        "down": "#f85149",
        "stale": "#8b949e",
        "draining": "#a371f7",
        "running": "#39c5cf",
        "dim": "#8b949e",
        "title": "#ffffff bold",
        "head": "#58a6ff bold",
        "link": "#2f6f9f",
        "active": "#d29922",
        "pulse": "#ffffff bold",
        "spark": "#0178d4",
        "critical": "#ffffff bold",
        "selected": "reverse",
        "key": "#ffa62b",
        "live": "#0d1117 on #3fb950 bold",
        "paused": "#0d1117 on #d29922 bold",
        "replay": "#0d1117 on #58a6ff bold",
        "offline": "#0d1117 on #f85149 bold",
    },
    LIGHT: {
        "": "#1f2328 on #ffffff",
        "up": "#116329",
        "busy": "#7d4e00",
        "suspect": "#7d4e00 bold",
        "down": "#a40e26",
        "stale": "#59636e",
        "draining": "#6639ba",
        "running": "#0b5c6b",
        "dim": "#59636e",
        "title": "#000000 bold",
        "head": "#0550ae bold",
        "link": "#7fb0d8",
        "active": "#9a6700",
        "pulse": "#000000 bold",
        "spark": "#0550ae",
        "critical": "#000000 bold",
        "selected": "reverse",
        "key": "#953800",
        "live": "#ffffff on #116329 bold",
        "paused": "#ffffff on #7d4e00 bold",
        "replay": "#ffffff on #0550ae bold",
        "offline": "#ffffff on #a40e26 bold",
    },
}
_PALETTES[CONTRAST] = _PALETTES[DARK] | {
    "": "#ffffff on #000000",
    "up": "#00ff00",
    "busy": "#ffff00",
    "suspect": "#ffff00 bold",
    "down": "#ff5555 bold",
    "stale": "#cccccc",
    "dim": "#cccccc",
    "link": "#5fafff",
}

THEMES = (
    Theme(
        DARK,
        primary="#0178d4",
        secondary="#004578",
        accent="#ffa62b",
        warning="#d29922",
        error="#f85149",
        success="#3fb950",
        foreground="#d4d4d4",
        background="#121212",
        surface="#1a1d21",
        panel="#242f38",
    ),
    Theme(
        LIGHT,
        primary="#0550ae",
        secondary="#54aeff",
        accent="#953800",
        warning="#7d4e00",
        error="#a40e26",
        success="#116329",
        foreground="#1f2328",
        background="#ffffff",
        surface="#f6f8fa",
        panel="#eaeef2",
        dark=False,
    ),
    Theme(
        CONTRAST,
        primary="#5fafff",
        secondary="#5fafff",
        accent="#ffff00",
        warning="#ffff00",
        error="#ff5555",
        success="#00ff00",
        foreground="#ffffff",
        background="#000000",
        surface="#000000",
        panel="#1c1c1c",
    ),
)
NAMES = tuple(theme.name for theme in THEMES)


def fitting() -> str:
    """What suits the terminal, as far as it says: COLORFGBG ends in its background's colour."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT if background in ("7", "15") else DARK


@cache
def style(theme: str, name: str) -> Style:
    """Several names at once are laid over each other, e.g. "selected up"."""
    palette = _PALETTES.get(theme, _PALETTES[DARK])
    found = Style.parse(palette[""])
    for part in name.split():
        found += Style.parse(palette[part])
    return found
