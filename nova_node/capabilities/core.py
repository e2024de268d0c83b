"""Capabilities to try a mesh with."""

from __future__ import annotations

import time
from typing import Annotated, Any

from nova_node.capability import capability


@capability("core.noop")
def noop() -> None:
    """Does nothing."""


@capability("core.echo")
def echo(data: Annotated[Any, "JSON or bytes"]) -> Any:
    """Returns what it is given."""
    return data


@capability("core.sleep")
def sleep(seconds: Annotated[float, "0 or more"]) -> float:
    """Waits, then returns how long it was asked to."""
    time.sleep(max(0.0, seconds))
    return seconds
