"""What this node can run, asked of a worker process that is ended afterwards.

Rule: a module that does not load, hangs or ends the process costs a warning, never the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Any, NamedTuple

from nova_node.adapters.worker_frames import Head, decode_card, frame
from nova_node.adapters.worker_process import Setup, WorkerProcess, death
from nova_node.core.model import Capability, Demand, Limits, Model

MODULE_TIMEOUT_S = 20.0


class Catalogue:
    """What was found, by name; `limits` are those of attempts that nobody gave any."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._cards: dict[tuple[str, str], tuple[str, Capability]] = {}

    def fill(self, found: Iterable[tuple[str, Capability]]) -> None:
        self._cards = {}
        for module, card in found:
            self._cards.setdefault((card.name, card.version), (module, card))
            self._cards.setdefault((card.name, ""), (module, card))

    def job_row(self, demand: Demand) -> list[Any]:
        """How a demand is told to a worker process."""
        module, _ = self._cards.get((demand.capability, demand.version), ("", None))
        limits = self.limits_of(demand)
        return [
            *(demand.capability, demand.version, module),
            *(limits.cpu_s, limits.memory_bytes, limits.output_bytes),
        ]

    def limits_of(self, demand: Demand) -> Limits:
        """The task's own, else the capability's, else the node's."""
        _, card = self._cards.get((demand.capability, demand.version), ("", None))
        declared = card.limits if card else self._limits
        own, node = demand.limits, self._limits
        return Limits(
            own.wall_s or declared.wall_s or node.wall_s,
            own.cpu_s or declared.cpu_s or node.cpu_s,
            own.memory_bytes or declared.memory_bytes or node.memory_bytes,
            own.output_bytes or declared.output_bytes or node.output_bytes,
        )


class Described(NamedTuple):
    #: module and capability of all that is offered
    found: list[tuple[str, Capability]]
    #: of modules that do not load, and of capabilities that are withheld
    warnings: list[str]
    #: modules that were asked
    modules: frozenset[str]
    #: of them those that withhold something, with what they said of it
    withheld: dict[str, list[str]]
    #: by module
    models: dict[str, list[Model]]


NOTHING = Described([], [], frozenset(), {}, {})


async def describe(
    setup: Setup, before: Described = NOTHING, changed: Collection[str] = ()
) -> Described:
    """All that there is; of what was described before, only what was withheld and the modules that may
    have changed are asked again."""
    survey = _Survey(before, changed)
    while not survey.complete:
        survey.changed = asyncio.Event()
        process = WorkerProcess(survey.frames, lambda key, fd, data: True)
        await process.start(setup)
        process.send(frame({"describe": sorted(survey.seen)}))
        await survey.follow(process)
    withheld = survey.withheld
    warnings = [*survey.warnings, *chain.from_iterable(withheld.values())]
    return Described(survey.found, warnings, frozenset(survey.seen), withheld, survey.models)


class _Survey:
    def __init__(self, before: Described, changed: Collection[str]) -> None:
        self._again = again = {*before.withheld, *changed}
        self.found = [(module, card) for module, card in before.found if module not in again]
        told = set(chain.from_iterable(before.withheld.values()))
        self.warnings = [warning for warning in before.warnings if warning not in told]
        self.withheld: dict[str, list[str]] = {}
        self.seen = set(before.modules - again)
        self.models = {m: found for m, found in before.models.items() if m not in again}
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
                self.models[head["loaded"]] = [Model(**row) for row in head.get("models", ())]
                for why, names in head.get("withheld", {}).items():
                    told = self.withheld.setdefault(head["loaded"], [])
                    told.append(f"{', '.join(names)}: {why}"[:500])
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
        """Of a module that did load before, it is not the last word."""
        warnings = self.withheld.setdefault(module, []) if module in self._again else self.warnings
        warnings.append(f"{module} was not loaded: {why}"[:500])
