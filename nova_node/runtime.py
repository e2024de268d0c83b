"""The loop: mailbox -> engine -> journal -> effects.

Signals from anywhere only enqueue. One turn takes all that wait, asks the engine once, queues one
group commit, and performs the effects. Three things wait for the disk: answers to clients, events
announced to watchers, and the release of blobs; they leave in order. Nothing in a turn blocks.

A turn that only accepted what will have ended in a moment is held for that moment: one write to the
disk and one message to the client then do for both. What it assigned is on its way meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from nova_node.core.effects import (
    Acknowledge,
    Append,
    Confirm,
    Drained,
    Effect,
    Forget,
    Kill,
    Pull,
    Release,
    Resumed,
    Run,
)
from nova_node.core.engine import Engine
from nova_node.core.errors import InUse, Overloaded
from nova_node.core.events import (
    Accepted,
    Assigned,
    Event,
)
from nova_node.core.members import Conflict, ConflictSeen, MemberEffect, MemberSignal, MemberTick
from nova_node.core.membership import Membership
from nova_node.core.model import Digest
from nova_node.core.signals import (
    Confirmed,
    PeerSeen,
    Signal,
    SlotDied,
    Submit,
    Tick,
)
from nova_node.inputs import Inputs
from nova_node.ports import Clock, Executor, Journal, Peers
from nova_node.watch import Watch

log = logging.getLogger("nova.runtime")

TURN_SIGNALS_MAX = 1024
NEWCOMER_S = 30.0
CUT_OFF = (
    "most of the mesh seems dead, so most likely this node is cut off from it: it goes on alone, and what"
    " it had given to those nodes runs here or elsewhere again"
)
JOURNAL_RETRY_S = 0.5
HOLD_S = 0.002
"""At most; four times what a brief task and its way there and back take."""


class Turn:
    """What one turn releases once its events, and those of the turns before, are on disk."""

    __slots__ = ("answers", "durable", "events", "releases")

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answers: list[tuple[Callable[[Any], None], Any]] = []
        self.releases: list[Release] = []
        self.durable = True

    def add(self, later: Turn) -> None:
        self.events += later.events
        self.answers += later.answers
        self.releases += later.releases


class Runtime:
    def __init__(
        self,
        engine: Engine,
        membership: Membership,
        journal: Journal,
        executor: Executor,
        inputs: Inputs,
        watch: Watch,
        clock: Clock,
        mailbox_max: int,
    ) -> None:
        self.engine = engine
        self.membership = membership
        self.watch = watch
        self.drained = asyncio.Event()
        #: why the node must stop, when it must
        self.broken: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.peers: Peers | None = None
        self._journal = journal
        self._executor = executor
        self._inputs = inputs
        self._clock = clock
        self._began = clock.now()
        self._mailbox_max = mailbox_max
        self._loop = asyncio.get_running_loop()
        self._mailbox: deque[Signal] = deque()
        self._member_mail: deque[MemberSignal] = deque()
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._turns: deque[Turn] = deque()
        self._held: Turn | None = None
        self._cut_off = False
        #: why the latest append failed, while it does
        self._journal_error = ""
        self._stopped = False

    # ------------------------------------------------------------ in

    def post(self, signal: Signal) -> None:
        """Enqueue a signal. On the event loop's thread only."""
        if isinstance(signal, SlotDied):
            self._inputs.slot_died(signal.slot)
        self._mailbox.append(signal)
        self._schedule()

    def submit(self, signal: Submit) -> None:
        """Enqueue a submit, or refuse it at once when it could not be taken."""
        if self._journal_error:
            signal.token(
                Overloaded(
                    f"the journal cannot be written: {self._journal_error}", "free some disk"
                )
            )
        elif len(self._mailbox) >= self._mailbox_max:
            signal.token(
                Overloaded(
                    f"{self._mailbox_max} signals wait for this node's engine", "submit again later"
                )
            )
        else:
            self.post(signal)

    def post_member(self, signal: MemberSignal) -> None:
        self._member_mail.append(signal)
        self._schedule()

    def tell_digest(self, digest: Digest) -> None:
        self._perform_member(self.membership.set_digest(digest, self._clock.now()))
        self._schedule()

    def leave(self) -> None:
        """Tell peers that this node goes."""
        self._perform_member(self.membership.leave(self._clock.now()))

    def stop(self) -> None:
        self._let_go()
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if not self._scheduled and not self._stopped:
            self._scheduled = True
            self._loop.call_soon(self._turn)

    # ------------------------------------------------------------ one turn

    def _turn(self) -> None:
        self._scheduled = False
        if self._stopped:
            return
        try:
            self._handle()
        except Exception as error:
            log.exception("a bug in Nova: the node stops rather than guess")
            self._stopped = True
            if not self.broken.done():
                self.broken.set_result(error)

    def _handle(self) -> None:
        now = self._clock.now()
        mail = self._member_mail
        while mail:
            self._perform_member(self.membership.handle(mail.popleft(), now))
        mailbox = self._mailbox
        count = min(len(mailbox), TURN_SIGNALS_MAX)
        if count:
            signals = [mailbox.popleft() for _ in range(count)]
            self._perform(self.engine.handle(signals, now))
        if mailbox or mail:
            self._schedule()
        self._set_timer(now)

    def _set_timer(self, now: float) -> None:
        wake_at = min(self.engine.wake_at, self.membership.wake_at)
        delay_s = min(max(0.0, wake_at - now), 3600.0)
        when = self._loop.time() + delay_s
        timer = self._timer
        if timer is not None:
            if not timer.cancelled() and timer.when() <= when:
                return
            timer.cancel()
        self._timer = self._loop.call_at(when, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._clock.now()
        if self.membership.wake_at <= now:
            self._member_mail.append(MemberTick())
        if self.engine.wake_at <= now:
            self._mailbox.append(Tick())
        self._schedule()
        if not self._scheduled:
            self._set_timer(now)

    # ------------------------------------------------------------ out

    def _perform(self, effects: list[Effect]) -> None:
        turn = Turn()
        peers = self.peers
        assert peers is not None
        for effect in effects:
            match effect:
                case Append(event):
                    turn.events.append(event)
                case Run(slot, keys, attempts):
                    self._inputs.run(slot, keys, attempts)
                case Acknowledge(token, answer):
                    turn.answers.append((token, answer))
                case Kill(slot, failure):
                    self._executor.kill(slot, failure)
                case Confirm(number):
                    turn.answers.append((self.post, Confirmed(number)))
                case Pull(no, attempt, value, usage):
                    self._inputs.pull(no, attempt, value, usage)
                case Forget(batches):
                    self._loop.run_in_executor(None, self._journal.forget, batches)
                case Release():
                    turn.releases.append(effect)
                case Drained():
                    self.drained.set()
                case Resumed():
                    self.drained.clear()
                case _:
                    peers.perform(effect)
        if turn.events or turn.answers or turn.releases:
            self._gather(turn)

    def _perform_member(self, effects: list[MemberEffect]) -> None:
        assert self.peers is not None
        for effect in effects:
            if isinstance(effect, PeerSeen):
                self.peers.know(effect.member)
                self._mailbox.append(effect)
            elif isinstance(effect, ConflictSeen):
                self._conflict(effect.conflict)
            else:
                self.peers.perform(effect)
        if self._cut_off != self.membership.isolated:
            self._cut_off = not self._cut_off
            if self._cut_off:
                log.warning("%s", CUT_OFF)
            else:
                log.info("most of the mesh is there again")

    def _conflict(self, conflict: Conflict) -> None:
        """Two processes with one id: the one that has just started gives way."""
        one, other = conflict.addresses
        copied = InUse(
            f"two nodes claim the id {conflict.node}: {one} and {other}",
            "one data directory is a copy: start that node with another --data-dir",
        )
        log.error("%s; %s", copied.message, copied.fix)
        newcomer = self._clock.now() - self._began < NEWCOMER_S
        if conflict.node == self.engine.me and newcomer and not self.broken.done():
            self.broken.set_result(copied)

    # ------------------------------------------------------------ the gate before clients and watchers

    def _gather(self, turn: Turn) -> None:
        """Commit a turn, with the one that was held for it, or hold it for the next."""
        held, self._held = self._held, None
        if held is not None:
            held.add(turn)
            self._commit(held)
        elif self._is_brief(turn):
            self._held = turn
            self._loop.call_later(HOLD_S, self._let_go, turn)
        else:
            self._commit(turn)

    def _is_brief(self, turn: Turn) -> bool:
        """Whether all it did was to accept and assign tasks that will have ended soon."""
        if self._turns or len(turn.answers) != 1 or turn.releases:
            return False
        match turn.events:
            case [Event(fact=Accepted(groups=(group,))), Event(fact=Assigned(fences=fences))]:
                return len(fences) == len(group.calls) and self.engine.is_brief(group)
            case _:
                return False

    def _let_go(self, turn: Turn | None = None) -> None:
        """Of the turn that is held, if it still is."""
        held = self._held
        if held is not None and turn in (None, held):
            self._held = None
            self._commit(held)

    def _commit(self, turn: Turn) -> None:
        journaled = [event for event in turn.events if event.journaled]
        if not journaled:
            if self._turns:
                self._turns.append(turn)
            else:
                self._release(turn)
            return
        turn.durable = False
        self._turns.append(turn)
        self._append(turn, journaled)

    def _append(self, turn: Turn, journaled: list[Event]) -> None:
        if self._stopped:
            return

        def done(error: Exception | None) -> None:
            self._loop.call_soon_threadsafe(self._committed, turn, journaled, error)

        self._journal.append(journaled, done)

    def _committed(self, turn: Turn, journaled: list[Event], error: Exception | None) -> None:
        if error is not None:
            self._journal_failed(error)
            self._loop.call_later(JOURNAL_RETRY_S, self._append, turn, journaled)
            return
        if self._journal_error:
            log.info("the journal can be written again")
            self._journal_error = ""
        turn.durable = True
        while self._turns and self._turns[0].durable:
            self._release(self._turns.popleft())

    def _journal_failed(self, error: Exception) -> None:
        """Nothing is lost: what could not be written is tried again, whoever waits for it waits on,
        and new work is refused meanwhile."""
        if not self._journal_error:
            log.error("the journal cannot be written, new work is refused: %s", error)
        self._journal_error = str(error)

    def _release(self, turn: Turn) -> None:
        for token, answer in turn.answers:
            token(answer)
        if turn.events:
            self.watch.announce(turn.events)
        for release in turn.releases:
            if release.node == self.engine.me:
                self._inputs.release(release.blob_ids)
            elif self.peers is not None:
                self.peers.perform(release)
