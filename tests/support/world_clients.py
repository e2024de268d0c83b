"""The clients of a simulated mesh: they submit, ask again until they are answered, and cancel some."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from support.world_clock import Clock
from support.world_money import make_order, make_waiter
from support.world_work import Job, make_job

from nova_node.core.errors import NovaError
from nova_node.core.model import Durability, Group
from nova_node.core.owner import SubmitAnswer
from nova_node.core.signals import Cancel, Requeue, Signal, Submit

ASK_AGAIN_S = 1.0


class Owner(Protocol):
    """What of a node a client touches."""

    number: int
    up: bool
    life: int

    def post(self, signal: Signal) -> None: ...


def _unheard(answer: Any) -> None:
    """For answers that nobody waits for."""


class Ticket:
    """One submit, from the first try to its answer."""

    def __init__(
        self,
        owner: Owner,
        request_id: str,
        jobs: list[Job],
        journaled: bool,
        budget_uusd: int = 0,
    ) -> None:
        self.budget_uusd = budget_uusd
        self.owner = owner
        self.request_id = request_id
        self.jobs = jobs
        self.journaled = journaled
        #: number of the first task; 0 until it is acknowledged
        self.first = 0
        #: of the owner, when it acknowledged
        self.life = 0
        #: jobs that a cancel was sent for
        self.cancels: set[int] = set()
        self.cancels_open = 0

    def groups(self) -> tuple[Group, ...]:
        durability = Durability.JOURNALED if self.journaled else Durability.VOLATILE
        return tuple(
            Group(replace(job.demand, durability=durability), (job.call,)) for job in self.jobs
        )

    @property
    def is_settled(self) -> bool:
        return self.first > 0 and not self.cancels_open


class Clients:
    def __init__(
        self,
        clock: Clock,
        owners: list[Owner],
        labels: list[tuple[str, str]],
        acknowledged: Callable[[Ticket, SubmitAnswer], None],
        money: bool = False,
    ) -> None:
        """`money`: some batches have a budget, some tasks wait for others."""
        self._money = money
        self._clock = clock
        self._rng = random.Random(clock.rng.random())
        self._owners, self._labels = owners, labels
        self._acknowledged = acknowledged
        self.tickets: list[Ticket] = []
        #: by the unit named in its arguments
        self.jobs: dict[str, Job] = {}

    def submit_later(self, after_s: float) -> None:
        rng, number = self._rng, len(self.tickets)
        jobs: list[Job] = []
        budget_uusd = 0
        if self._money and rng.random() < 0.5:
            jobs, budget_uusd = make_order(rng, number, self._labels)
        else:
            for place in range(rng.choice((1, 1, 2, 3, 6, 12))):
                make = make_waiter if self._money and rng.random() < 0.3 else make_job
                jobs.append(make(rng, f"t{number}-{place}", self._labels))
        self.jobs.update((job.args["u"], job) for job in jobs)
        journaled = rng.random() < 0.85
        ticket = Ticket(rng.choice(self._owners), f"r{number}", jobs, journaled, budget_uusd)
        self.tickets.append(ticket)
        self._clock.later(after_s, lambda: self._submit(ticket))

    def requeue_later(self, after_s: float) -> None:
        """Every dead letter there is then, and what is none as well: that is to be refused."""

        def requeue() -> None:
            for ticket in self.tickets:
                if ticket.first and ticket.owner.up:
                    nos = [ticket.first + place for place in range(len(ticket.jobs))]
                    ticket.owner.post(Requeue(_unheard, nos))

        self._clock.later(after_s, requeue)

    def _submit(self, ticket: Ticket) -> None:
        if ticket.first:
            return
        for _ in range(2 if self._rng.random() < 0.1 else 1):
            if ticket.owner.up:
                token = self._token(ticket)
                budget = ticket.budget_uusd
                ticket.owner.post(Submit(token, ticket.request_id, ticket.groups(), None, budget))
        self._clock.later(ASK_AGAIN_S * self._rng.uniform(0.5, 1.5), lambda: self._submit(ticket))

    def _token(self, ticket: Ticket) -> Callable[[Any], None]:
        def answered(answer: SubmitAnswer | NovaError) -> None:
            if isinstance(answer, SubmitAnswer):
                self._acknowledged(ticket, answer)
                if not ticket.first:
                    ticket.first, ticket.life = answer.first, ticket.owner.life
                    self._plan_cancels(ticket)

        return answered

    def _plan_cancels(self, ticket: Ticket) -> None:
        for place, job in enumerate(ticket.jobs):
            if job.cancel_after_s:
                ticket.cancels_open += 1
                self._clock.later(
                    job.cancel_after_s, lambda place=place: self._cancel(ticket, place, [False])
                )

    def _cancel(self, ticket: Ticket, place: int, answered: list[bool]) -> None:
        if answered[0]:
            return

        def token(answer: Any) -> None:
            if not answered[0]:
                answered[0] = True
                ticket.cancels_open -= 1

        ticket.cancels.add(place)
        if ticket.owner.up:
            ticket.owner.post(Cancel(token, ticket.first + place))
        self._clock.later(ASK_AGAIN_S, lambda: self._cancel(ticket, place, answered))
