"""Blobs of a simulated node, and what is fetched before attempts run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from support.world_clock import Clock
from support.world_net import Host, Net
from support.world_work import Works

from nova_node.adapters.memory_executor import FakeExecutor
from nova_node.core.model import UNUSED, Attempt, BlobRef, Failure, Outcome, Status, Usage, Value
from nova_node.core.signals import Pulled, Ran, RanItem


class Blobs:
    """What one node holds, by content; survives a crash."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._held: dict[str, int] = {}

    def __contains__(self, blob_id: str) -> bool:
        return blob_id in self._held

    def keep(self, data: bytes) -> BlobRef:
        blob = self._works.blob(data)
        self.add(blob.id)
        return blob

    def add(self, blob_id: str) -> None:
        self._held[blob_id] = self._held.get(blob_id, 0) + 1

    def release(self, blob_ids: Sequence[str]) -> None:
        for blob_id in blob_ids:
            held = self._held.pop(blob_id, 0)
            if held > 1:
                self._held[blob_id] = held - 1


class Holder(Host, Protocol):
    clock: Clock
    net: Net

    @property
    def blobs(self) -> Blobs: ...
    def mine(self, act: Callable[[], None]) -> Callable[[], None]: ...


class Inputs:
    """A slot's attempts stay in order, and die with its process."""

    def __init__(self, node: Holder, executor: FakeExecutor) -> None:
        self._node, self._executor = node, executor
        self._deaths: dict[int, int] = {}
        self._free_at: dict[int, float] = {}

    def slot_died(self, slot: int) -> None:
        self._deaths[slot] = self._deaths.get(slot, 0) + 1

    def run(self, slot: int, keys: Sequence[int], attempts: Sequence[Attempt]) -> None:
        node = self._node
        now, rng, deaths = node.clock.now, node.clock.rng, self._deaths.get(slot)
        fetches = any(part.blob for attempt in attempts for part in attempt.parts)
        ready_at = now + (rng.uniform(0.0005, 0.01) if fetches else 0.0)
        ready_at = max(ready_at, self._free_at.get(slot, 0.0))

        def fetched() -> None:
            if self._deaths.get(slot) == deaths:
                self._hand_over(slot, keys, attempts)

        if ready_at <= now:
            fetched()
        else:
            self._free_at[slot] = ready_at
            node.clock.at(ready_at, node.mine(fetched))

    def _hand_over(self, slot: int, keys: Sequence[int], attempts: Sequence[Attempt]) -> None:
        here: list[tuple[int, Attempt]] = []
        for key, attempt in zip(keys, attempts, strict=True):
            blobs = [part.blob for part in attempt.parts if part.blob]
            if all(self._can_have(blob) for blob in blobs):
                here.append((key, attempt))
            else:
                failure = Failure("blob_unavailable", "no holder gave it", retryable=True)
                no, number = attempt.no, attempt.attempt
                end = Outcome(no, number, Status.FAILED, None, failure, usage=UNUSED)
                self._node.post(Ran(slot, (RanItem(key, end),)))
        if here:
            self._executor.run(slot, [k for k, _ in here], [a for _, a in here])

    def pull(self, no: int, attempt: int, value: Value, usage: Usage | None) -> None:
        node, blob = self._node, value.blob
        assert blob is not None

        def pulled() -> None:
            failure = None
            if self._can_have(blob):
                node.blobs.add(blob.id)
            else:
                failure = Failure("unavailable", "the result could not be fetched", "", True)
            node.post(Pulled(no, attempt, value, failure, usage))

        node.clock.later(node.clock.rng.uniform(0.001, 0.01), node.mine(pulled))

    def _can_have(self, blob: BlobRef) -> bool:
        node = self._node
        if blob.id in node.blobs:
            return True
        return any(
            peer.id in blob.holders
            and peer.up
            and blob.id in peer.blobs
            and node.net.reaches(node.address, peer.address)
            for peer in node.net.nodes.values()
        )
