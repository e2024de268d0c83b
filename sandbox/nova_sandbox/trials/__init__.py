"""Hostile programs, each with what has to become of it: for `nova-sandbox test`, and for our tests."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from nova_sandbox.events import Event, File, Finished, Output
from nova_sandbox.trials import escapes, output, resources
from nova_sandbox.trials.trial import Trial

TRIALS: tuple[Trial, ...] = (*resources.TRIALS, *output.TRIALS, *escapes.TRIALS)

__all__ = ["TRIALS", "Trial", "verdict"]


async def verdict(trial: Trial, events: AsyncIterator[Event]) -> list[str]:
    """What went otherwise than it has to. Empty is good."""
    text = ""
    files: list[str] = []
    finished: Finished | None = None
    async for event in events:
        match event:
            case Output(data=data):
                text += data.decode(errors="replace")
            case File(name=name):
                files.append(name)
            case Finished():
                finished = event
    if finished is None:
        return ["it has no end"]
    text += f"\n{finished.message}\n{finished.traceback}"
    faults = [f"does not say {part!r}" for part in trial.says if not re.search(part, text)]
    if finished.status != trial.status:
        faults.append(f"is {finished.status} ({finished.message}), not {trial.status}")
    if tuple(files) != trial.files:
        faults.append(f"gives the files {files}")
    return [f"{fault}; it said: {text[-800:]}" for fault in faults[:1]] + faults[1:]
