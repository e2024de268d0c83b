"""What this node can run, asked of a worker process that is ended afterwards.

Rule: a module that does not load, hangs or ends the process costs a warning, never the others.
"""

from __future__ import annotations

import asyncio

from nova_node.adapters.worker_frames import Head, decode_card, frame
from nova_node.adapters.worker_process import Setup, WorkerProcess, death
from nova_node.core.model import Capability

MODULE_TIMEOUT_S = 20.0


async def describe(setup: Setup) -> tuple[list[tuple[str, Capability]], list[str]]:
    """(module, capability) for each that is offered, a warning for modules that do not load, and one
    for capabilities that this node does not offer."""
    survey = _Survey()
    while not survey.complete:
        survey.changed = asyncio.Event()
        process = WorkerProcess(survey.frames, lambda key, fd, data: True)
        await process.start(setup)
        process.send(frame({"describe": sorted(survey.seen)}))
        await survey.follow(process)
    return survey.found, survey.warnings


class _Survey:
    def __init__(self) -> None:
        self.found: list[tuple[str, Capability]] = []
        self.warnings: list[str] = []
        self.seen: set[str] = set()
        self.complete = False
        self.changed = asyncio.Event()
        self._loading = ""

    async def follow(self, process: WorkerProcess) -> None:
        """Until all modules are loaded, or one ended the process or hangs."""
        why = "took too long"
        try:
            while not self.complete:
                self.changed.clear()
                change = asyncio.ensure_future(self.changed.wait())
                done, _ = await asyncio.wait(
                    (change, process.ended),
                    timeout=MODULE_TIMEOUT_S,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                change.cancel()
                if process.ended in done:
                    why = f"the process {death(process.ended.result())}"
                if change not in done:
                    break
        finally:
            process.kill()
            await process.ended
        if not self.complete:
            self.complete = not self._loading
            self._warn(self._loading or "the survey of capabilities", why)
            self._loading = ""

    def frames(self, frames: list[tuple[Head, bytes]]) -> None:
        self.changed.set()
        for head, _ in frames:
            if "loading" in head:
                self._loading = head["loading"]
                self.seen.add(self._loading)
            elif "loaded" in head:
                self._loading = ""
                if "error" in head:
                    self._warn(head["loaded"], head["error"])
                for row in head.get("cards", ()):
                    self._add(head["loaded"], decode_card(row))
                for why, names in head.get("withheld", {}).items():
                    self.warnings.append(f"{', '.join(names)}: not offered, {why}"[:500])
            elif "described" in head:
                self.complete = True

    def _add(self, module: str, card: Capability) -> None:
        for other, had in self.found:
            if (had.name, had.version) == (card.name, card.version):
                if other != module:
                    self._warn(module, f"{card.name} {card.version} is already that of {other}")
                return
        self.found.append((module, card))

    def _warn(self, module: str, why: str) -> None:
        self.warnings.append(f"{module} was not loaded: {why}"[:500])
