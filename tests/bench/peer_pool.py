"""ProcessPoolExecutor of the standard library: no network, no retry, the least there can be."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from typing import Any

from bench.peer import WORKERS, Peer
from bench.work import WORK


class PoolPeer(Peer):
    _pool: ProcessPoolExecutor

    def start(self) -> None:
        self._pool = ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn"))

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(self, work: str, arguments: Sequence[Any]) -> list[Future[Any]]:
        return [self._pool.submit(WORK[work], argument) for argument in arguments]

    def finish(self, begun: list[Future[Any]]) -> list[Any]:
        return [future.result() for future in begun]

    def count(self, begun: list[Future[Any]], timeout_s: float) -> int:
        wait(begun, timeout_s)
        return sum(future.done() and not future.exception() for future in begun)
