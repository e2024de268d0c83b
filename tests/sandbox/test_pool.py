"""The pool with boxes that are made up: when it fills, whom it serves, what it does when none start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import pytest
from nova_sandbox.box import Box
from nova_sandbox.errors import EngineUnavailable, Exhausted, NotOffered
from nova_sandbox.pool import Pool, PoolSize
from support.sandbox_runs import until


@dataclass(frozen=True, slots=True)
class FakeHandle:
    name: str


@dataclass(eq=False, slots=True)
class FakeBox:
    handle: FakeHandle
    lost: bool = False
    spent: bool = False
    closed: bool = False
    on_lost: Callable[[FakeBox], None] = lambda box: None

    async def close(self) -> None:
        self.closed = True

    def end(self) -> None:
        self.lost = True
        self.on_lost(self)


@dataclass(slots=True)
class FakeMaker:
    """Makes a box for each permit."""

    permits: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1000))
    made: list[FakeBox] = field(default_factory=list[FakeBox])
    broken: Exception | None = None

    async def make(self) -> Box:
        await self.permits.acquire()
        if self.broken:
            raise self.broken
        self.made.append(FakeBox(FakeHandle(f"box-{len(self.made)}")))
        return cast(Box, self.made[-1])


Check = Callable[[Pool, FakeMaker], Awaitable[None]]


def with_pool(check: Check, size: PoolSize, maker: FakeMaker | None = None) -> None:
    async def main() -> None:
        used = maker or FakeMaker()
        pool = Pool(used.make, size)
        pool.start()
        try:
            async with asyncio.timeout(20):
                await check(pool, used)
        finally:
            for _ in range(100):
                used.permits.release()
            await pool.close()
        assert all(box.closed for box in used.made)
        assert pool.names() == set()

    asyncio.run(main())


def test_it_fills_to_its_minimum_and_again_after_a_claim() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        await until(lambda: pool.state().warm == 2)
        box = await pool.claim()
        assert pool.state().busy == 1
        await until(lambda: pool.state().warm == 2)
        pool.release(box)
        await until(lambda: maker.made[0].closed)
        assert (pool.state().busy, pool.state().exhausted, len(maker.made)) == (0, 0, 3)

    with_pool(check, PoolSize(min_warm=2))


def test_it_fills_one_after_the_other_when_it_may_start_only_one() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        await until(lambda: pool.state().warm == 4)

    with_pool(check, PoolSize(min_warm=4, max_starting=1))


def test_who_follows_it_learns_of_every_state() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        seen: list[tuple[int, int, int, int]] = []

        def look() -> None:
            state = pool.state()
            seen.append((state.warm, state.busy, state.refilling, state.waiting))

        pool.on_change = look
        claiming = asyncio.create_task(pool.claim())
        await until(lambda: (0, 0, 1, 1) in seen)
        maker.permits.release()
        box = await claiming
        await until(lambda: seen[-1] == (0, 1, 0, 0))
        pool.release(box)
        await until(lambda: seen[-1] == (0, 0, 0, 0))
        maker.broken = EngineUnavailable("down")
        maker.permits.release()
        with pytest.raises(EngineUnavailable):
            await pool.claim()
        assert seen[-1] == (0, 0, 0, 0)

    size = PoolSize(min_warm=0, max_warm=0)
    with_pool(check, size, FakeMaker(asyncio.Semaphore(0)))


def test_clearing_up_waits_while_a_claim_does() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        maker.permits.release()
        used = await pool.claim()
        maker.made[0].spent = True
        waiting = asyncio.create_task(pool.claim())
        await until(lambda: pool.state().waiting == 1)
        pool.release(used)
        await asyncio.sleep(0.06)
        assert not maker.made[0].closed
        maker.permits.release()
        await waiting
        await until(lambda: maker.made[0].closed)

    size = PoolSize(min_warm=0, max_warm=0)
    with_pool(check, size, FakeMaker(asyncio.Semaphore(0)))


def test_what_is_not_over_is_ended_at_once() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        maker.permits.release()
        used = await pool.claim()
        waiting = asyncio.create_task(pool.claim())
        await until(lambda: pool.state().waiting == 1)
        pool.release(used)
        await until(lambda: maker.made[0].closed)
        assert pool.state().waiting == 1
        maker.permits.release()
        await waiting

    size = PoolSize(min_warm=0, max_warm=0)
    with_pool(check, size, FakeMaker(asyncio.Semaphore(0)))


def test_no_box_is_given_twice() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        async def once() -> str:
            box = await pool.claim()
            await asyncio.sleep(0)
            pool.release(box)
            return box.handle.name

        names = await asyncio.gather(*(once() for _ in range(50)))
        assert len(set(names)) == 50

    with_pool(check, PoolSize(max_boxes=5))


def test_never_more_boxes_than_allowed() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        held = [await pool.claim() for _ in range(3)]
        waiting = asyncio.create_task(pool.claim())
        await asyncio.sleep(0.01)
        assert len(maker.made) == 3
        assert pool.state().waiting == 1
        pool.release(held[0])
        await waiting

    with_pool(check, PoolSize(min_warm=0, max_warm=3, max_boxes=3))


def test_demand_raises_what_it_keeps_warm_up_to_the_bound() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        for _ in range(10):
            pool.release(await asyncio.create_task(pool.claim()))
            await asyncio.gather(*(pool.claim() for _ in range(3)))
            for name in list(pool._busy):  # pyright: ignore[reportPrivateUsage]
                pool.release(name)
        await until(lambda: pool.state().warm == 3)
        assert pool.state().target == 3

    with_pool(check, PoolSize(min_warm=0, max_warm=3, max_boxes=12))


def test_quiet_lowers_it_again() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        for _ in range(3):
            pool.release(await pool.claim())
        await until(lambda: pool.state().target == 0 and pool.state().warm == 0)
        assert len(maker.made) >= 3

    with_pool(check, PoolSize(min_warm=0, max_warm=2, idle_s=0.02))


def test_too_many_that_wait_are_refused_at_once() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        waiting = [asyncio.create_task(pool.claim()) for _ in range(2)]
        await until(lambda: pool.state().waiting == 2)
        with pytest.raises(Exhausted):
            await pool.claim()
        maker.permits.release()
        maker.permits.release()
        await asyncio.gather(*waiting)

    size = PoolSize(min_warm=0, max_waiting=2)
    with_pool(check, size, FakeMaker(asyncio.Semaphore(0)))


def test_waiting_has_an_end() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        with pytest.raises(Exhausted):
            await pool.claim()
        assert pool.state().waiting == 0

    size = PoolSize(min_warm=0, claim_timeout_s=0.02)
    with_pool(check, size, FakeMaker(asyncio.Semaphore(0)))


@pytest.mark.parametrize("broken", [EngineUnavailable("down"), OSError("no descriptor left")])
def test_what_keeps_boxes_from_starting_is_an_error_at_once(broken: Exception) -> None:
    """And then it works again."""

    async def check(pool: Pool, maker: FakeMaker) -> None:
        for _ in range(3):
            with pytest.raises(EngineUnavailable):
                await pool.claim()
        assert pool.state().failed >= 3
        maker.broken = None
        await pool.claim()

    with_pool(check, PoolSize(), FakeMaker(broken=broken))


def test_a_claim_that_is_cancelled_leaves_its_box_to_the_next() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        given_up = asyncio.create_task(pool.claim())
        await until(lambda: pool.state().waiting == 1)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert pool.state().waiting == 0
        maker.permits.release()
        await until(lambda: pool.state().warm == 1)
        assert (await pool.claim()).handle.name == "box-0"

    size = PoolSize(min_warm=0, max_warm=1)
    with_pool(check, size, FakeMaker(asyncio.Semaphore(0)))


def test_a_claim_that_is_cancelled_as_its_box_comes() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        given_up = asyncio.create_task(pool.claim())
        await until(lambda: pool.state().waiting == 1)
        maker.permits.release()
        await until(lambda: pool.state().waiting == 0, every_s=0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        assert pool.state().busy + pool.state().warm == 1
        assert given_up.cancelled()
        assert (await pool.claim()).handle.name == "box-0"

    size = PoolSize(min_warm=0, max_warm=1)
    with_pool(check, size, FakeMaker(asyncio.Semaphore(0)))


def test_an_idle_box_that_ends_is_replaced() -> None:
    async def check(pool: Pool, maker: FakeMaker) -> None:
        await until(lambda: pool.state().warm == 1)
        maker.made[0].end()
        assert pool.state().warm == 0
        assert (await pool.claim()).handle.name == "box-1"

    with_pool(check, PoolSize())


def test_after_closing_nothing_is_given() -> None:
    async def main() -> None:
        maker = FakeMaker(asyncio.Semaphore(0))
        pool = Pool(maker.make, PoolSize(min_warm=0))
        pool.start()
        waiting = asyncio.create_task(pool.claim())
        await until(lambda: pool.state().waiting == 1)
        closing = asyncio.create_task(pool.close())
        with pytest.raises(NotOffered):
            await waiting
        maker.permits.release()
        await asyncio.wait_for(closing, 20)
        with pytest.raises(NotOffered):
            await pool.claim()
        assert [box.closed for box in maker.made] == [True]

    asyncio.run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_warm": -1},
        {"min_warm": 5},
        {"max_warm": 100},
        {"max_boxes": 0, "max_warm": 0, "min_warm": 0},
        {"max_starting": 0},
        {"idle_s": 0},
    ],
)
def test_sizes_that_make_no_sense(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="pool"):
        PoolSize(**wrong)
