"""Blobs to where they are needed: inputs before an attempt runs, results to their owner.

An attempt that names blobs is handed to the executor once the ranges it reads are on this node's disk,
each chunk checked. Fetches run beside the loop; what fails is answered as the attempt's failure.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

from nova_node.core.errors import NotFound, NovaError, Unavailable
from nova_node.core.model import (
    UNUSED,
    Attempt,
    BlobRef,
    Encoding,
    Failure,
    Outcome,
    Status,
    Usage,
    Value,
)
from nova_node.core.signals import (
    Pulled,
    Ran,
    RanItem,
)
from nova_node.ports import CHUNK_BYTES, Blobs, BlobSource, Executor, Post
from nova_node.secrets.references import Answers, Resolver

log = logging.getLogger("nova.inputs")

INLINE_BYTES = 2 << 20

Gate = Callable[[Sequence[Attempt]], Mapping[int, Failure]]
"""Why some attempts may not run on this node, by their place in the sequence."""


def keep_result(
    blobs: Blobs, path: str, encoding: Encoding, sensitive: bool, whole: bool = False
) -> BlobRef:
    """A large result that a worker process left in a file becomes a blob. Blocks. Only whole
    results are put beyond doubt: a part that is lost is made again."""
    durable = whole or os.path.getsize(path) > INLINE_BYTES
    with open(path, "rb") as file:
        return blobs.put(iter(lambda: file.read(CHUNK_BYTES), b""), encoding, durable, sensitive)


def take_back(blobs: Blobs, attempt: Attempt) -> None:
    """An attempt that ended reads no blob any more."""
    for blob_id, offset, size_bytes in _reads(attempt):
        blobs.take_back(blob_id, offset, size_bytes)


class Inputs:
    def __init__(
        self,
        blobs: Blobs,
        source: BlobSource,
        executor: Executor,
        resolver: Resolver,
        gate: Gate | None = None,
    ) -> None:
        """Every attempt passes the `gate`, wherever it came from."""
        self._blobs = blobs
        self._source = source
        self._executor = executor
        self._resolver = resolver
        self._gate = gate
        self._tasks: set[asyncio.Task[None]] = set()
        #: the latest hand-over of each slot that still waits for blobs
        self._fetching: dict[int, asyncio.Task[None]] = {}
        #: of each slot's processes so far
        self._lives: Counter[int] = Counter()
        self.post: Post | None = None

    def run(self, slot: int, keys: Sequence[int], attempts: Sequence[Attempt]) -> None:
        """Hand over attempts, each slot's in order, whatever they have to fetch first."""
        if self._gate is not None and (refused := self._gate(attempts)):
            self._refuse(slot, keys, attempts, refused)
            keys = [key for place, key in enumerate(keys) if place not in refused]
            attempts = [a for place, a in enumerate(attempts) if place not in refused]
            if not attempts:
                return
        before = self._fetching.get(slot)
        if before is None and not any(_needs_more(attempt) for attempt in attempts):
            self._executor.run(slot, keys, attempts)
            return
        task = self._spawn(self._fetch_and_run(slot, keys, attempts, before))
        self._fetching[slot] = task
        task.add_done_callback(lambda _: self._fetched(slot, task))

    def _refuse(
        self,
        slot: int,
        keys: Sequence[int],
        attempts: Sequence[Attempt],
        refused: Mapping[int, Failure],
    ) -> None:
        items: list[RanItem] = []
        for place, failure in refused.items():
            items.append(RanItem(keys[place], _not_begun(attempts[place], failure)))
        self._tell(Ran(slot, tuple(items)))

    def slot_died(self, slot: int) -> None:
        """What this slot was to run has been given to others."""
        self._lives[slot] += 1
        self._fetching.pop(slot, None)

    def _fetched(self, slot: int, task: asyncio.Task[None]) -> None:
        if self._fetching.get(slot) is task:
            del self._fetching[slot]

    def pull(self, no: int, attempt: int, value: Value, usage: Usage | None = None) -> None:
        self._spawn(self._pull(no, attempt, value, usage))

    def release(self, blob_ids: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._blobs.discard, list(blob_ids))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self, signal: Ran | Pulled) -> None:
        if self.post is not None:
            self.post(signal)

    # ------------------------------------------------------------ beside the loop

    async def _fetch_and_run(
        self,
        slot: int,
        keys: Sequence[int],
        attempts: Sequence[Attempt],
        before: asyncio.Task[None] | None,
    ) -> None:
        life = self._lives[slot]
        ready_keys: list[int] = []
        ready: list[Attempt] = []
        for key, attempt in zip(keys, attempts, strict=True):
            try:
                if not await asyncio.to_thread(self._lend_if_here, attempt):
                    await self._fetch_all(attempt)
                    await asyncio.to_thread(self._lend, attempt)
            except Exception as raised:
                error = _typed(raised)
                # a part of a merge can be made again, an input that nobody holds cannot
                missing = isinstance(error, NotFound) and not attempt.parts
                code = "blob_missing" if missing else "blob_unavailable"
                failure = Failure(code, error.message, error.fix, retryable=True)
                outcome = _not_begun(attempt, failure)
                if life == self._lives[slot]:
                    self._tell(Ran(slot, (RanItem(key, outcome),)))
            else:
                ready_keys.append(key)
                ready.append(attempt)
        if before is not None:
            await asyncio.wait({before})
        revealed, failed = await self._reveal(ready)
        if life != self._lives[slot]:
            for attempt in ready:
                take_back(self._blobs, attempt)
            return
        if failed:
            self._refuse(slot, ready_keys, ready, failed)
            for place in failed:
                take_back(self._blobs, ready[place])
        places = [place for place in range(len(ready)) if place not in failed]
        if places:
            secrets = {ready_keys[place]: values for place, values in revealed.items()}
            keys, attempts = [ready_keys[p] for p in places], [ready[p] for p in places]
            self._executor.run(slot, keys, attempts, secrets)

    async def _reveal(self, attempts: Sequence[Attempt]) -> Answers:
        if not any(attempt.demand.secrets for attempt in attempts):
            return {}, {}
        return await asyncio.to_thread(self._resolver.reveal_all, attempts)

    def _lend_if_here(self, attempt: Attempt) -> bool:
        """Whether nothing has to be fetched first."""
        if any(self._blobs.missing(*each) for each in _reads(attempt)):
            return False
        self._lend(attempt)
        return True

    def _lend(self, attempt: Attempt) -> None:
        """All of what it reads, or nothing. The executor takes it back."""
        lent: list[tuple[str, int, int]] = []
        try:
            for blob_id, offset, size_bytes in _reads(attempt):
                self._blobs.lend(blob_id, offset, size_bytes)
                lent.append((blob_id, offset, size_bytes))
        except NovaError:
            for each in lent:
                self._blobs.take_back(*each)
            raise

    async def _fetch_all(self, attempt: Attempt) -> None:
        known = (*attempt.blobs, *(part.blob for part in attempt.parts if part.blob))
        holders = {blob.id: blob.holders for blob in known}
        for blob_id, offset, size_bytes in _reads(attempt):
            await self._fetch(blob_id, offset, size_bytes, holders.get(blob_id, ()))

    async def _fetch_blob(self, blob: BlobRef) -> None:
        await self._fetch(blob.id, 0, blob.size_bytes, blob.holders)

    async def _fetch(
        self, blob_id: str, offset: int, size_bytes: int, holders: Sequence[str]
    ) -> None:
        """Bring a range here from the first holder that gives it. Raises NovaError."""
        if not await asyncio.to_thread(self._blobs.missing, blob_id, offset, size_bytes):
            return
        error: NovaError = NotFound(
            f"no node is known to hold blob {blob_id[:12]}", "upload the input again"
        )
        for holder in holders:
            try:
                async for fetched in self._source.fetch(holder, blob_id, offset, size_bytes):
                    await asyncio.to_thread(self._blobs.add_chunk, blob_id, *fetched)
            except NovaError as failed:
                error = failed
            else:
                return
        raise error

    async def _pull(self, no: int, attempt: int, value: Value, usage: Usage | None) -> None:
        failure: Failure | None = None
        try:
            for blob in value.blobs:
                await self._fetch_blob(blob)
                await asyncio.to_thread(self._blobs.sync, blob.id)
        except Exception as raised:
            error = _typed(raised)
            unavailable = Unavailable(
                f"the result could not be fetched: {error.message}", error.fix
            )
            failure = unavailable.failure()
        self._tell(Pulled(no, attempt, value, failure, usage))


def _not_begun(attempt: Attempt, failure: Failure) -> Outcome:
    return Outcome(attempt.no, attempt.attempt, Status.FAILED, None, failure, usage=UNUSED)


def _typed(error: Exception) -> NovaError:
    """Whatever went wrong, the attempt gets an answer."""
    if isinstance(error, NovaError):
        return error
    log.error("a bug in Nova: a blob could not be fetched", exc_info=error)
    return NovaError(f"{type(error).__name__}: {error}")


def _needs_more(attempt: Attempt) -> bool:
    if attempt.demand.secrets:
        return True
    for part in attempt.parts:
        if part.blob is not None:
            return True
    return any(i.extents is not None for i in attempt.call.inputs)


def _reads(attempt: Attempt) -> Iterator[tuple[str, int, int]]:
    """(blob id, offset, size in bytes) of all that an attempt reads."""
    for binary in attempt.call.inputs:
        for blob_id, start, end in _ranges(binary.extents or ()):
            yield blob_id, start, end - start
    for part in attempt.parts:
        if part.blob is not None:
            yield part.blob.id, 0, part.blob.size_bytes


def _ranges(extents: Sequence[Any]) -> list[tuple[str, int, int]]:
    """(blob id, start, end) of neighbouring extents joined, so that a thousand small files that lie
    side by side are one fetch."""
    joined: list[tuple[str, int, int]] = []
    for extent in sorted(extents, key=lambda e: (e.blob_id, e.offset)):
        end = extent.offset + extent.size_bytes
        if joined and joined[-1][0] == extent.blob_id and extent.offset <= joined[-1][2]:
            joined[-1] = (extent.blob_id, joined[-1][1], max(end, joined[-1][2]))
        else:
            joined.append((extent.blob_id, extent.offset, end))
    return joined
