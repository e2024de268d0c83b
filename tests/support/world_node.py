"""A simulated node: the real engine and membership, around them what the runtime does, in virtual time."""

from __future__ import annotations

import random
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol

from support.world_clock import Clock, Violation, drive
from support.world_disk import Disk, Turn
from support.world_inputs import Blobs, Inputs
from support.world_members import ask, first_words
from support.world_net import Net, Stream
from support.world_work import CAPABILITIES, Works

from nova_node.adapters.memory_executor import FakeExecutor
from nova_node.core.effects import (
    Acknowledge,
    Append,
    Assign,
    Confirm,
    Connect,
    Disconnect,
    Drained,
    Effect,
    FetchCard,
    Forget,
    Grant,
    Kill,
    Pull,
    Recall,
    Relay,
    Release,
    Report,
    Resumed,
    Revoke,
    Run,
)
from nova_node.core.engine import Engine, EngineConfig
from nova_node.core.events import Event
from nova_node.core.members import (
    LAN,
    AnswerProbe,
    AnswerSync,
    ConflictSeen,
    Introduced,
    MemberEffect,
    MemberSignal,
    MemberTick,
    Refuse,
    SendProbe,
    SendProbeVia,
    SendSync,
    StreamBroken,
)
from nova_node.core.membership import Membership
from nova_node.core.model import Card, Member
from nova_node.core.signals import (
    CardFetched,
    Confirmed,
    DrainAsked,
    LinkDown,
    OwnerDown,
    PeerSeen,
    ResumeAsked,
    Signal,
    SlotDied,
    Tick,
)

DIGEST_EVERY_S = 0.5
SPINS_MAX = 20


class Watcher(Protocol):
    """Who checks what a node does."""

    def performed(self, node: SimNode, effects: Sequence[Effect]) -> None: ...
    def announced(self, node: SimNode, events: Sequence[Event]) -> None: ...
    def saw(self, node: SimNode, member: Member) -> None: ...


class SimNode:
    def __init__(
        self,
        number: int,
        clock: Clock,
        net: Net,
        works: Works,
        watcher: Watcher,
        config: EngineConfig,
        labels: tuple[tuple[str, str], ...],
    ) -> None:
        self.number = number
        self.id = f"{zlib.crc32(str(number).encode()):08x}{number:08d}"
        self.address = f"10.0.0.{number}:7000"
        self.labels = labels
        self.disk = Disk(clock)
        self.blobs = Blobs(works)
        self.up, self.silent, self.draining = False, False, False
        self.life = 0
        self.slow_s = 0.0
        self.paused_until = 0.0
        #: how long a signal may wait for its turn: what arrives meanwhile shares it
        self.turn_s = clock.rng.choice((0.0005, 0.003, 0.02))
        self.turns_taken = 0
        self.config = config
        self.clock, self.net = clock, net
        self._works, self.watcher = works, watcher
        net.nodes[self.address] = self

    # ------------------------------------------------------------ start and stop

    def start(self, peers: Sequence[str]) -> None:
        clock = self.clock
        self.life += 1
        self.up, self.silent, self.draining = True, False, False
        self.mailbox: deque[Signal] = deque()
        self._member_mail: deque[MemberSignal] = deque()
        self._waiting_turns: deque[Turn] = deque()
        self._scheduled, self._spins, self._timer_at = False, 0, float("inf")
        self._forgetting: Sequence[int] = ()
        self.workers: dict[str, Stream] = {}
        self.owners: dict[int, Stream] = {}
        self._links = count(1)
        self.incarnation = self.disk.open()
        rng = random.Random(clock.rng.random())
        #: what its journal held when it started
        self.restored = self.disk.read()
        self.engine = Engine(
            self.id,
            self.incarnation,
            self.config,
            rng,
            self.restored,
            clock.now,
            self.disk.used_no + 1,
        )
        me = first_words(self.id, self.number, self.address, self.incarnation)
        self.membership = Membership(me, LAN, rng, clock.now)
        self.card = Card(self.id, 1, CAPABILITIES, self.labels, self.config.worker.slots)
        self.engine.describe(self.card)
        self._executor = FakeExecutor(self._works.script(self.blobs.keep), CAPABILITIES, self._soon)
        self._inputs = Inputs(self, self._executor)
        slots = self.config.worker.slots + self.config.worker.places
        drive(self._executor.start(slots, self._from_executor))
        for peer in peers:
            self.post_member(Introduced(peer, pinned=True))
        self._tell_digest()

    def crash(self, silent: bool = False) -> None:
        self.up, self.silent = False, silent
        self.life += 1
        self.disk.forget_some(self._forgetting)
        self.disk.crash()
        for stream in list(self.net.streams):
            if stream.owner is self:
                stream.owner_died()
            if stream.worker is self:
                stream.worker_died()

    def stop(self) -> None:
        """What it said is on disk before it goes."""
        self.disk.close()
        self.crash()

    def drain(self) -> None:
        self.draining = True
        self.post(DrainAsked())

    def resume(self) -> None:
        self.draining = False
        self.post(ResumeAsked(self._resumed))

    def _resumed(self, was_draining: bool) -> None:
        """Nobody asks."""

    def mine(self, act: Callable[[], None]) -> Callable[[], None]:
        """`act`, unless this process is gone by then."""
        life = self.life

        def if_alive() -> None:
            if self.life == life:
                act()

        return if_alive

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.clock.later(seconds, self.mine(act))

    def _soon(self, seconds: float, act: Callable[[], None]) -> None:
        self._later(seconds + self.clock.rng.uniform(0.0, 0.001), act)

    # ------------------------------------------------------------ the loop

    def post(self, signal: Signal) -> None:
        self.mailbox.append(signal)
        self._schedule()

    def post_member(self, signal: MemberSignal) -> None:
        self._member_mail.append(signal)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._later(self.clock.rng.uniform(0.00001, self.turn_s), self._turn)

    def _turn(self) -> None:
        clock = self.clock
        if self.paused_until > clock.now:
            self._later(self.paused_until - clock.now, self._turn)
            return
        self._scheduled = False
        now, mail, mailbox = clock.now, self._member_mail, self.mailbox
        while mail:
            self._perform_member(self.membership.handle(mail.popleft(), now))
        if mailbox:
            signals = list(mailbox)
            mailbox.clear()
            clock.note(f"{self.number} {' '.join([type(s).__name__ for s in signals])}")
            self.turns_taken += 1
            effects = self.engine.handle(signals, now)
            self.watcher.performed(self, effects)
            self._perform(effects)
            self._watch_for_spin(signals, now)
        self._set_timer(now)

    def _watch_for_spin(self, signals: list[Signal], now: float) -> None:
        only_ticks = all(isinstance(s, Tick) for s in signals)
        self._spins = self._spins + 1 if only_ticks and self.engine.wake_at <= now else 0
        if self._spins > SPINS_MAX:
            raise Violation(f"node {self.number} wakes in a loop: wake_at stays in the past")

    def _set_timer(self, now: float) -> None:
        wake_at = max(now + 0.0001, min(self.engine.wake_at, self.membership.wake_at))
        if wake_at < self._timer_at:
            self._timer_at = wake_at
            if wake_at < now + 1e6:
                self.clock.at(wake_at, self.mine(lambda: self._ring(wake_at)))

    def _ring(self, wake_at: float) -> None:
        if wake_at != self._timer_at:
            return
        now = self.clock.now
        self._timer_at = float("inf")
        if self.membership.wake_at <= now:
            self._member_mail.append(MemberTick())
        if self.engine.wake_at <= now:
            self.mailbox.append(Tick())
        self._schedule()

    def _tell_digest(self) -> None:
        if self.paused_until <= self.clock.now:
            digest = self.engine.digest(self.card.card_version, 0)
            self._perform_member(self.membership.set_digest(digest, self.clock.now))
            self._schedule()
        self._later(DIGEST_EVERY_S, self._tell_digest)

    # ------------------------------------------------------------ effects of the engine

    def _perform(self, effects: Sequence[Effect]) -> None:
        turn = Turn()
        for effect in effects:
            match effect:
                case Append(event):
                    turn.events.append(event)
                case Acknowledge(token, answer):
                    turn.answers.append((token, answer))
                case Assign(node) | Recall(node) | Revoke(node):
                    self._send(node, effect)
                case Report(link) | Relay(link) | Grant(link):
                    if link in self.owners:
                        self.owners[link].to_owner.send(effect)
                case Run(slot, keys, attempts):
                    self._inputs.run(slot, keys, attempts)
                case Kill(slot, failure):
                    self._executor.kill(slot, failure)
                case Confirm(number):
                    turn.answers.append((self.post, Confirmed(number)))
                case Pull(no, attempt, value, usage):
                    self._inputs.pull(no, attempt, value, usage)
                case Release(node, blob_ids):
                    if node == self.id:
                        self.release(blob_ids)
                    else:
                        self._send(node, effect)
                case Connect(node, address):
                    self._connect(node, address)
                case Disconnect(node):
                    if node in self.workers:
                        self.workers[node].leave()
                case FetchCard(_, address):
                    self._fetch_card(address)
                case Forget(batches):
                    self._forget(batches)
                case Resumed():
                    pass
                case Drained():
                    self._perform_member(self.membership.leave(self.clock.now))
                    self._later(0.05, self.stop)
        if turn.events or turn.answers:
            self.commit(turn)

    def _forget(self, batches: Sequence[int]) -> None:
        self._forgetting = batches

        def forget() -> None:
            self.disk.forget(batches)
            self._forgetting = ()

        self._soon(0.5, forget)

    def _send(self, node: str, effect: Effect) -> None:
        stream = self.workers.get(node)
        if stream is not None and not stream.is_replaced:
            stream.to_worker.send(effect)

    def commit(self, turn: Turn) -> None:
        journaled = [event for event in turn.events if event.journaled]
        if not journaled:
            if self._waiting_turns:
                self._waiting_turns.append(turn)
            else:
                self.release_turn(turn)
            return
        turn.durable = False
        self._waiting_turns.append(turn)
        self.disk.append(journaled, self.mine(lambda: self._committed(turn)))

    @property
    def unsynced(self) -> int:
        """Turns that wait for the disk."""
        return len(self._waiting_turns)

    def _committed(self, turn: Turn) -> None:
        turn.durable = True
        while self._waiting_turns and self._waiting_turns[0].durable:
            self.release_turn(self._waiting_turns.popleft())

    def release_turn(self, turn: Turn) -> None:
        for token, answer in turn.answers:
            token(answer)
        if turn.events:
            self.watcher.announced(self, turn.events)

    # ------------------------------------------------------------ streams

    def _connect(self, node: str, address: str) -> None:
        old = self.workers.pop(node, None)
        if old is not None:
            old.leave()
        self.workers[node] = Stream(self.net, self, node, address)

    def accept(self, stream: Stream) -> int:
        link = next(self._links)
        self.owners[link] = stream
        return link

    def stream_ended(self, stream: Stream, why: str) -> None:
        self.post(LinkDown(stream.worker_id, why))
        if self.workers.get(stream.worker_id) is stream:
            del self.workers[stream.worker_id]
            self.post_member(StreamBroken(stream.worker_id))

    def owner_gone(self, stream: Stream) -> None:
        del self.owners[stream.link]
        self.post(OwnerDown(stream.owner.id, stream.link))
        self.post_member(StreamBroken(stream.owner.id))

    def _fetch_card(self, address: str) -> None:
        def arrive(target: Any, reply: Callable[[Any], None]) -> None:
            reply(target.card)

        def done(card: Card | None) -> None:
            if card is not None:
                self.post(CardFetched(card))

        self.net.call(self, address, 5.0, arrive, done, None, None)

    def release(self, blob_ids: Sequence[str]) -> None:
        self.blobs.release(blob_ids)

    def _from_executor(self, signal: Signal) -> None:
        if isinstance(signal, SlotDied):
            self._inputs.slot_died(signal.slot)
        self.post(signal)

    # ------------------------------------------------------------ effects of membership

    def _perform_member(self, effects: Sequence[MemberEffect]) -> None:
        for effect in effects:
            match effect:
                case PeerSeen(member):
                    self.watcher.saw(self, member)
                    self.mailbox.append(effect)
                    self._schedule()
                case SendProbe() | SendProbeVia() | SendSync():
                    ask(self, effect)
                case AnswerProbe(token) | AnswerSync(token) | Refuse(token):
                    token(effect)
                case ConflictSeen():
                    raise Violation(f"node {self.number} sees a conflict: {effect.conflict}")
        if effects:
            self._set_timer(self.clock.now)
