"""The network of a simulated mesh: streams like TCP, calls like datagrams, and cuts of each direction.

A stream is ordered and reliable until it breaks. While its path is cut, messages wait; a cut that
lasts breaks both ends, each at its own time, and so does the death of either process. A call may be
dropped, delayed, reordered or made twice.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, Protocol

from support.world_clock import Clock

from nova_node.core.effects import (
    Assign,
    Grant,
    Recall,
    Relay,
    Release,
    Report,
    Revoke,
)
from nova_node.core.signals import (
    Granted,
    Heard,
    LinkUp,
    OwnerUp,
    Resulted,
    Signal,
    Work,
)

KEEPALIVE_S = (8.0, 18.0)
CONNECT_TIMEOUT_S = (2.0, 6.0)

Reply = Callable[[Any], None]


class Host(Protocol):
    """What of a node the network touches."""

    id: str
    address: str
    up: bool
    #: its host is gone too: nothing there refuses a connection
    silent: bool
    life: int
    slow_s: float

    @property
    def blobs(self) -> Container[str]: ...
    def post(self, signal: Signal) -> None: ...
    def release(self, blob_ids: Sequence[str]) -> None: ...
    def accept(self, stream: Stream) -> int: ...
    def stream_ended(self, stream: Stream, why: str) -> None: ...
    def owner_gone(self, stream: Stream) -> None: ...


class Net:
    def __init__(self, world: Clock) -> None:
        self.world = world
        self.drop = 0.0
        self.twice = 0.0
        self.nodes: dict[str, Host] = {}
        self.streams: dict[Stream, None] = {}
        self._cuts: dict[tuple[str, str], int] = {}
        self._cut_no = 0

    # ------------------------------------------------------------ faults

    def cut(self, source: str, target: str) -> None:
        """Nothing from `source` reaches `target` (addresses)."""
        self._cut_no += 1
        number = self._cuts[source, target] = self._cut_no
        for stream in list(self.streams):
            if {source, target} == {stream.owner.address, stream.address}:
                for close in (stream.close_owner_end, stream.close_worker_end):
                    self._break_if_cut(source, target, number, close)

    def _break_if_cut(
        self, source: str, target: str, number: int, close: Callable[[str], None]
    ) -> None:
        def check() -> None:
            if self._cuts.get((source, target)) == number:
                close("the keepalive was not answered")

        self.world.later(self.world.rng.uniform(*KEEPALIVE_S), check)

    def heal(self, source: str, target: str) -> None:
        if self._cuts.pop((source, target), None) is not None:
            for stream in list(self.streams):
                stream.to_worker.release()
                stream.to_owner.release()

    def heal_all(self) -> None:
        for source, target in list(self._cuts):
            self.heal(source, target)
        self.drop = self.twice = 0.0

    def is_cut(self, source: str, target: str) -> bool:
        return (source, target) in self._cuts

    def reaches(self, a: str, b: str) -> bool:
        """Both ways."""
        return not self.is_cut(a, b) and not self.is_cut(b, a)

    def delay_s(self, source: str, target: str) -> float:
        rng = self.world.rng
        slow_s = self.nodes[source].slow_s + self.nodes[target].slow_s
        return rng.uniform(0.0003, 0.003) + (rng.uniform(0.0, slow_s) if slow_s else 0.0)

    # ------------------------------------------------------------ calls

    def call(
        self,
        source: Host,
        address: str,
        timeout_s: float,
        arrive: Callable[[Host, Reply], None],
        done: Callable[[Any], None],
        refused: Any,
        silent: Any,
    ) -> None:
        """Ask whoever is at `address`; `done` gets its answer, or `refused`, or `silent`, once."""
        world, life, answered = self.world, source.life, False

        def finish(answer: Any) -> None:
            nonlocal answered
            if not answered and source.up and source.life == life:
                answered = True
                done(answer)

        def reply(answer: Any) -> None:
            if not self._is_lost(address, source.address):
                world.later(self.delay_s(address, source.address), lambda: finish(answer))

        def reach() -> None:
            target = self.nodes[address]
            if target.up:
                arrive(target, reply)
            elif not target.silent:
                reply(refused)

        world.later(timeout_s, lambda: finish(silent))
        for _ in range(2 if world.rng.random() < self.twice else 1):
            if not self._is_lost(source.address, address):
                world.later(self.delay_s(source.address, address), reach)

    def _is_lost(self, source: str, target: str) -> bool:
        return self.is_cut(source, target) or (
            self.drop > 0.0 and self.world.rng.random() < self.drop
        )


class Pipe:
    """One direction of a stream."""

    def __init__(self, net: Net, source: str, target: str, deliver: Callable[[Any], None]) -> None:
        self._net, self._source, self._target = net, source, target
        self._deliver = deliver
        self._last_at = 0.0
        self._held: list[Any] = []

    def send(self, message: Any) -> None:
        world = self._net.world
        at = max(self._last_at, world.now + self._net.delay_s(self._source, self._target))
        self._last_at = at
        world.at(at, lambda: self._arrive(message))

    def _arrive(self, message: Any) -> None:
        if self._held or self._net.is_cut(self._source, self._target):
            self._held.append(message)
        else:
            self._deliver(message)

    def release(self) -> None:
        if self._held and not self._net.is_cut(self._source, self._target):
            held, self._held = self._held, []
            for message in held:
                self._deliver(message)


class Stream:
    """A Work stream from an owner to the node at `address`."""

    def __init__(self, net: Net, owner: Host, worker_id: str, address: str) -> None:
        self.owner, self.address, self.worker_id = owner, address, worker_id
        self.link = 0
        self.is_replaced = False
        self._net = net
        self._owner_life, self._worker_life = owner.life, -1
        self._owner_open, self._worker_open, self._up = True, False, False
        self.to_worker = Pipe(net, owner.address, address, self._at_worker)
        self.to_owner = Pipe(net, address, owner.address, self._at_owner)
        net.streams[self] = None
        net.world.later(net.delay_s(owner.address, address), self._connect)

    @property
    def worker(self) -> Host:
        return self._net.nodes[self.address]

    def _connect(self) -> None:
        net, rng = self._net, self._net.world.rng
        if not self._owner_open:
            return
        worker = self.worker
        if net.reaches(self.owner.address, self.address) and worker.up:
            self._worker_open, self._worker_life = True, worker.life
            self.link = worker.accept(self)
            worker.post(OwnerUp(self.owner.id, self.link))
            return
        silent = worker.silent or worker.up or net.is_cut(self.owner.address, self.address)
        wait_s = rng.uniform(*CONNECT_TIMEOUT_S) if silent else rng.uniform(0.001, 0.01)
        net.world.later(wait_s, lambda: self.close_owner_end("it cannot be reached"))

    # ------------------------------------------------------------ messages

    def _at_worker(self, message: Any) -> None:
        worker = self.worker
        if not self._worker_open or worker.life != self._worker_life:
            return
        match message:
            case Assign(_, attempts):
                worker.post(Work(self.link, attempts))
            case Revoke(_, fences):
                worker.post(Work(self.link, (), fences))
            case Recall(_, at_most):
                worker.post(Work(self.link, recall=at_most))
            case Release(_, blob_ids):
                worker.release(blob_ids)
            case _:
                raise AssertionError(message)

    def _at_owner(self, message: Any) -> None:
        if not self._owner_open or self.is_replaced:
            return
        post = self.owner.post
        if not self._up:
            self._up = True
            post(LinkUp(self.worker_id))
        match message:
            case Report(_, outcomes, returned, cuts):
                post(Resulted(self.worker_id, outcomes, returned, cuts))
            case Relay(_, said):
                post(Heard(self.worker_id, said))
            case Grant(_, credit):
                post(Granted(self.worker_id, credit))
            case _:
                raise AssertionError(message)

    # ------------------------------------------------------------ ends

    def leave(self) -> None:
        """The owner closes it on purpose; what still arrives is not read."""
        self.is_replaced = True
        self._net.world.later(
            self._net.world.rng.uniform(0.0, 0.002), lambda: self.close_owner_end("closed")
        )

    def owner_died(self) -> None:
        self._owner_open = False
        self._tell_later(self.owner, self.close_worker_end)

    def worker_died(self) -> None:
        self._worker_open = False
        self._tell_later(self.worker, self.close_owner_end)

    def close_owner_end(self, why: str) -> None:
        if not self._owner_open:
            return
        self._owner_open = False
        if self.owner.up and self.owner.life == self._owner_life:
            self.owner.stream_ended(self, why)
        self._tell_later(self.owner, self.close_worker_end)

    def close_worker_end(self, why: str) -> None:
        if not self._worker_open:
            return
        self._worker_open = False
        if self.worker.up and self.worker.life == self._worker_life:
            self.worker.owner_gone(self)
        self._tell_later(self.worker, self.close_owner_end)

    def _tell_later(self, teller: Host, close: Callable[[str], None]) -> None:
        """The other end learns of it from the teller's host at once, else by its own keepalive."""
        net = self._net
        if not self._owner_open and not self._worker_open:
            net.streams.pop(self, None)
        listener = self.address if teller is self.owner else self.owner.address
        if teller.silent or net.is_cut(teller.address, listener):
            wait_s = net.world.rng.uniform(*KEEPALIVE_S)
        else:
            wait_s = net.delay_s(teller.address, listener)
        net.world.later(wait_s, lambda: close("the other end closed it"))
