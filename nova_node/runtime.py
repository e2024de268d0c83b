"""The loop: mailbox -> engine -> journal -> effects.

Signals from anywhere only enqueue. One turn takes all that wait, asks the engine once, queues one
group commit, and performs the effects. What has to wait for the disk leaves by `turns`. Nothing in a
turn blocks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

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
from nova_node.turns import Turn, Turns
from nova_node.watch import Watch

log = logging.getLogger("nova.runtime")

TURN_SIGNALS_MAX = 1024
NEWCOMER_S = 30.0
CUT_OFF = (
    "most of the mesh seems dead, so most likely this node is cut off from it: it goes on alone, and what"
    " it had given to those nodes runs here or elsewhere again"
)


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
        self._setting_timer = False
        self._timer: asyncio.TimerHandle | None = None
        self._turns = Turns(journal, self._let_out, engine.is_brief)
        self._cut_off = False
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
        if self._turns.error:
            signal.token(
                Overloaded(f"the journal cannot be written: {self._turns.error}", "free some disk")
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
        self._turns.stop()
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
        if not self._setting_timer:
            self._setting_timer = True
            self._loop.call_soon(self._set_timer)

    def _set_timer(self) -> None:
        """Once for all turns of an iteration, and after what these gave others to send."""
        self._setting_timer = False
        if self._stopped:
            return
        now = self._clock.now()
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
        self._turn()

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
            self._turns.add(turn)

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

    def _let_out(self, turn: Turn) -> None:
        for token, answer in turn.answers:
            token(answer)
        if turn.events:
            self.watch.announce(turn.events)
        for release in turn.releases:
            if release.node == self.engine.me:
                self._inputs.release(release.blob_ids)
            elif self.peers is not None:
                self.peers.perform(release)
