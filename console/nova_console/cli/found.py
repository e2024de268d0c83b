"""What `nova tasks` finds: tasks that nodes keep, and with them those that only the history knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from nova_client import Client, Status, ended, ended_sql, filters
from nova_client.ended import ENDED, OPEN, EndedPage
from nova_client.filters import Filter, Term
from nova_client.model import TaskList, TaskView

LISTED_MAX = 1_000
NOTHING = TaskList((), (), 0)


@dataclass(frozen=True, slots=True)
class Wanted:
    """`statuses` without one: all of them; `capability` is a whole name, "" any."""

    words: Filter
    statuses: frozenset[Status]
    capability: str
    children: bool
    limit: int
    before: str
    #: no volatile ones, of those that nodes keep
    journaled: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether nodes can tell by themselves what matches."""
        return all(term.field == "status" for term in self.words.terms)

    def among(self, statuses: tuple[Status, ...]) -> tuple[Status, ...]:
        asked = [each for each in statuses if not self.statuses or each in self.statuses]
        return ended.narrowed(self.words, asked)

    def of_history(self) -> Filter:
        """The options said as words."""
        terms = list(self.words.terms)
        if self.statuses:
            terms += [
                Term(each.value, "status", True) for each in ENDED if each not in self.statuses
            ]
        if self.capability:
            terms.append(Term(self.capability, "cap", False))
        return Filter(self.words.text, tuple(terms))


@dataclass(frozen=True, slots=True)
class Found:
    """Newest first. `total` is how many match, `unseen` how many open ones nobody looked at; `next`
    begins the next page; `missing` are nodes that did not answer."""

    tasks: tuple[TaskView, ...]
    #: ids of those that only the history knows
    past: frozenset[str]
    total: int
    unseen: int
    next: str
    missing: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """For --json."""
        tasks = [
            {
                **{f.name: getattr(task, f.name) for f in fields(task)},
                "kept": task.id not in self.past,
            }
            for task in self.tasks
        ]
        missing = list(self.missing)
        return {"tasks": tasks, "missing": missing, "total": self.total, "next": self.next}


async def find_kept(client: Client, wanted: Wanted) -> Found:
    """Of the tasks that nodes keep; with words, of the newest of these."""
    words = bool(wanted.words)
    limit = LISTED_MAX if words else wanted.limit
    page = await _listed(client, wanted, (*OPEN, *ENDED), limit)
    names = await _names(client, wanted.words)
    passed = [task for task in page.tasks if wanted.words.passes(ended.fields_of(task, names))]
    unseen = page.total - len(page.tasks) if words else 0
    total = page.total if wanted.is_exact else len(passed)
    return Found(tuple(passed[: wanted.limit]), frozenset(), total, unseen, "", page.missing)


async def find_all(client: Client, wanted: Wanted) -> Found:
    """Those that are kept and those that were; none twice."""
    names = await _names(client, wanted.words)
    open_, kept, past = await asyncio.gather(
        _listed(client, wanted, OPEN, LISTED_MAX),
        _listed(client, wanted, ENDED, LISTED_MAX),
        client.metrics.ended(
            wanted.of_history(),
            children=wanted.children,
            limit=wanted.limit,
            before=wanted.before,
            names=names,
        ),
    )
    return united(wanted, open_, kept, past, names)


def united(
    wanted: Wanted, open_: TaskList, kept: TaskList, past: EndedPage, names: Mapping[str, str]
) -> Found:
    before = ended_sql.placed(wanted.before) if wanted.before else None
    places = {
        task.id: (task.place, task.view())
        for task in past.tasks
        if wanted.capability in ("", task.capability)
    }
    only_past = {*places}
    opened = 0
    for task in (*kept.tasks, *open_.tasks):
        place = ended.place_of(task)
        if not wanted.words.passes(ended.fields_of(task, names)):
            continue
        opened += task.status in OPEN
        if before is None or place < before:
            places[task.id] = (place, task)
            only_past.discard(task.id)
    rows = sorted(places.values(), key=lambda row: row[0], reverse=True)
    shown = rows[: wanted.limit]
    more = len(rows) > len(shown) or bool(past.next)
    tasks = tuple(view for _, view in shown)
    missing = {*open_.missing, *kept.missing, *(one.name or one.node for one in past.missing)}
    total = past.total + (open_.total if wanted.is_exact else opened)
    return Found(
        tasks,
        frozenset(task.id for task in tasks if task.id in only_past),
        max(total, len(rows)),
        open_.total - len(open_.tasks),
        shown[-1][0].mark if more and shown else "",
        tuple(sorted(missing)),
    )


async def _listed(
    client: Client, wanted: Wanted, among: tuple[Status, ...], limit: int
) -> TaskList:
    statuses = wanted.among(among)
    if not statuses:
        return NOTHING
    return await client.list_tasks(
        statuses=statuses if len(statuses) < len(OPEN + ENDED) else (),
        capability=wanted.capability or filters.whole_capability(wanted.words),
        limit=limit,
        children=wanted.children,
        journaled=wanted.journaled,
    )


async def _names(client: Client, words: Filter) -> dict[str, str]:
    """Of nodes by id, when the words may ask for one."""
    if not ended_sql.asks_for_nodes(words):
        return {}
    return {view.node: view.name for view in (await client.nodes()).nodes}
