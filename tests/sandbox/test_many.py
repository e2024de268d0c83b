"""Many runs, many at once: all of them right, and nothing kept of any."""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil
import pytest
from nova_sandbox import Limits, PoolSize, Sandbox, Status
from nova_sandbox.engine import Engine
from nova_sandbox.lease import LABEL, OWNER
from support.sandbox_runs import collect, until

OpenSandbox = Callable[..., Sandbox]


def descriptors() -> set[tuple[str, str]]:
    """Each with what it is open on."""
    found: set[tuple[str, str]] = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that lists them
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


def resident_bytes() -> int:
    return psutil.Process().memory_info().rss


async def containers_of(url: str, owner: str) -> int:
    engine = Engine(url)
    try:
        return sum(f.labels[OWNER] == owner for f in await engine.containers(LABEL))
    finally:
        await engine.close()


async def all_right(sandbox: Sandbox, runs: int, at_once: int) -> None:
    """Every third of them is hostile."""
    room = asyncio.Semaphore(at_once)
    hostile = (
        ("while True: pass", Status.TIMEOUT),
        ("while True: print('x' * 9999)", Status.OUTPUT_CAP),
        ("held = b'x'\nwhile True: held += held", Status.OUT_OF_MEMORY),
        ("import os; os.symlink('/', '/out/a')", Status.REFUSED),
    )

    async def one(number: int) -> None:
        async with room:
            if number % 3:
                ran = await collect(sandbox.run(f"result = {number}"))
                assert (ran.status, ran.finished.result) == (Status.OK, str(number)), ran.finished
            else:
                code, status = hostile[number // 3 % len(hostile)]
                timeout_s = 0.5 if status is Status.TIMEOUT else 20
                ran = await collect(sandbox.run(code, timeout_s=timeout_s))
                assert ran.status is status, ran.finished

    await asyncio.gather(*(one(number) for number in range(runs)))


def leaves_nothing(make: OpenSandbox, url: str, runs: int, at_once: int, pool: PoolSize) -> None:
    async def main(runs: int) -> int:
        async with make(pool=pool, limits=Limits(memory_bytes=128 << 20)) as sandbox:
            await all_right(sandbox, runs, at_once)
            owner = str(sandbox._owner)  # pyright: ignore[reportPrivateUsage]
            grown = resident_bytes()
        assert await containers_of(url, owner) == 0
        return grown

    asyncio.run(main(at_once))  # what is loaded once, is
    gc.collect()
    before, threads = descriptors(), set(threading.enumerate())
    first = resident_bytes()
    grown = asyncio.run(main(runs))
    gc.collect()
    # of the tests before this one, some may only be closed by now
    assert not descriptors() - before
    assert not set(threading.enumerate()) - threads
    assert grown - first < 32 << 20


def test_a_few_leave_nothing(sandbox: OpenSandbox, engine_url: str) -> None:
    leaves_nothing(sandbox, engine_url, runs=16, at_once=6, pool=PoolSize(min_warm=2))


@pytest.mark.long
def test_two_hundred_with_twenty_at_once(sandbox: OpenSandbox, engine_url: str) -> None:
    pool = PoolSize(min_warm=4, max_warm=4, max_boxes=12, claim_timeout_s=120)
    leaves_nothing(sandbox, engine_url, runs=200, at_once=20, pool=pool)


@pytest.mark.long
def test_a_thousand_leave_nothing(sandbox: OpenSandbox, engine_url: str) -> None:
    pool = PoolSize(min_warm=4, max_warm=4, max_boxes=8, claim_timeout_s=120)
    leaves_nothing(sandbox, engine_url, runs=1000, at_once=4, pool=pool)


@pytest.mark.long
def test_a_neighbour_that_takes_all_it_can(sandbox: OpenSandbox) -> None:
    """With a processor for each, a greedy program costs its neighbour at most as much again."""
    work = "total = 0\nfor n in range(1_500_000): total += n"

    async def median_s(opened: Sandbox) -> float:
        took_s: list[float] = []
        for _ in range(7):
            await until(lambda: opened.state().warm >= 2)
            began = time.monotonic()
            assert (await collect(opened.run(work))).status is Status.OK
            took_s.append(time.monotonic() - began)
        return statistics.median(took_s)

    async def main() -> None:
        async with sandbox(pool=PoolSize(min_warm=2)) as opened:
            alone_s = await median_s(opened)
            bomb = "import os\nfor _ in range(4): os.fork()\nwhile True: pass"
            greedy = asyncio.create_task(collect(opened.run(bomb, timeout_s=50)))
            await asyncio.sleep(1)
            beside_s = await median_s(opened)
            greedy.cancel()
            await asyncio.gather(greedy, return_exceptions=True)
        assert beside_s < alone_s * 2 + 0.05

    asyncio.run(main())
