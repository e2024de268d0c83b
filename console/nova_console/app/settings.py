"""The person's own file for the console: theme, beginning and keys. Read once; what it does not know
it refuses.

theme = "light"
begin = "tasks"
[keys]
quit = "ctrl+q"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from nova_client import Invalid

VARIABLE = "NOVA_CONSOLE_CONFIG"
BEGIN = "NOVA_CONSOLE_BEGIN"


@dataclass(frozen=True, slots=True)
class Settings:
    """`theme` "" takes what fits the terminal; `keys` maps actions to keys, comma between several;
    `begin` is a command as after `:`, done at the start."""

    theme: str = ""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    begin: str = ""


def path() -> Path:
    given = os.environ.get(VARIABLE)
    if given:
        return Path(given)
    import platformdirs

    return Path(platformdirs.user_config_dir("nova", appauthor=False)) / "console.toml"


def read(file: Path, themes: Collection[str], actions: Collection[str]) -> Settings:
    """Without the file, the defaults; NOVA_CONSOLE_BEGIN stands over it. Raises Invalid."""
    try:
        text = file.read_text()
    except FileNotFoundError:
        text = ""
    except OSError as error:
        raise Invalid(f"cannot read {file}: {error.strerror}", "make it readable") from None
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{file} is not TOML: {error}", "correct it") from None
    theme = found.pop("theme", "")
    keys = _keys(file, found.pop("keys", {}), actions)
    begin = os.environ.get(BEGIN, found.pop("begin", ""))
    if found:
        fix = "use theme, begin and [keys]"
        raise Invalid(f"{file}: there is no setting {next(iter(found))!r}", fix)
    if not isinstance(begin, str):
        raise Invalid(f"{file}: begin is a text", 'for example begin = "tasks"')
    if theme and theme not in themes:
        raise Invalid(f"{file}: there is no theme {theme!r}", f"use one of {', '.join(themes)}")
    return Settings(theme, keys, begin)


def _keys(file: Path, given: Any, actions: Collection[str]) -> dict[str, str]:
    if not isinstance(given, dict):
        raise Invalid(f"{file}: keys is a table", "write [keys] and below it ACTION = KEY")
    keys = cast("dict[str, Any]", given)
    for action, key in keys.items():
        if action not in actions:
            raise Invalid(
                f"{file}: there is no action {action!r}", f"use one of {', '.join(sorted(actions))}"
            )
        if not isinstance(key, str):
            raise Invalid(f"{file}: the key of {action} is a text", 'for example quit = "ctrl+q"')
    return keys
