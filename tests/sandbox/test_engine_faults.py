"""An engine of our own that is killed, hung, restarted and filled while programs run on it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from nova_sandbox import EngineUnavailable, Event, PoolSize, Sandbox, SandboxError
from nova_sandbox.engine import CALL_TIMEOUT_S, Engine
from nova_sandbox.lease import LABEL
from support.dockerd import Dockerd, possible
from support.sandbox_images import make_image
from support.sandbox_runs import collect, until

SLEEP = "print('begun', flush=True)\nimport time\ntime.sleep(600)"
BUSY = "print('begun', flush=True)\nwhile True: pass"
FLOOD = """
print('begun', flush=True)
import os, time
time.sleep(0.3)
while True: os.write(1, b'x' * 65536)
"""
STOP_WITHIN_S = 2.0

# docker-py leaves the socket to the collector when its engine dies between two calls.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def own_engine() -> Iterator[Dockerd]:
    if reason := possible():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    dockerd = Dockerd()
    try:
        dockerd.start()
        asyncio.run(make_image(dockerd.url, "host"))
        yield dockerd
    finally:
        dockerd.stop()


@pytest.fixture
def dockerd(own_engine: Dockerd) -> Iterator[Dockerd]:
    """It runs, whatever the test before did to it."""
    own_engine.ensure()
    yield own_engine
    gc.collect()


def opened(dockerd: Dockerd, **pool: Any) -> Sandbox:
    return Sandbox(engine=dockerd.url, self_test=False, pool=PoolSize(**pool))


async def begin(events: AsyncGenerator[Event]) -> None:
    async with asyncio.timeout(20):
        await anext(events)


async def busy_container(sandbox: Sandbox) -> str:
    """Its whole id."""
    pool, engine = sandbox._pool, sandbox._engine  # pyright: ignore[reportPrivateUsage]
    assert pool
    assert engine
    (box,) = pool._busy  # pyright: ignore[reportPrivateUsage]
    found = await engine.containers(LABEL)
    (match,) = (f for f in found if f.name == box.handle.name)
    return match.id


def processes_of(container: str) -> list[int]:
    """By the kernel's account: the engine may be dead or hung."""
    found: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if container in (folder / "cgroup").read_text():
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
                found += [int(folder.name)] if state not in "ZX" else []
        except OSError:
            pass
    return found


async def passes(sandbox: Sandbox) -> None:
    """The next task does, once the engine is back: what waits out a backoff tries again."""
    async with asyncio.timeout(30):
        while True:
            try:
                ran = await collect(sandbox.run("print('next')"))
            except EngineUnavailable:
                await asyncio.sleep(0.1)
                continue
            assert (ran.stdout, ran.status) == ("next\n", "ok")
            return


async def leftovers(dockerd: Dockerd) -> list[str]:
    engine = Engine(dockerd.url)
    try:
        return [f.name for f in await engine.containers(LABEL)]
    finally:
        await engine.close()


@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_engine_that_goes_away_in_the_middle_of_a_run(dockerd: Dockerd, how: str) -> None:
    async def main() -> None:
        async with opened(dockerd) as sandbox:
            events = sandbox.run(SLEEP)
            await begin(events)
            container = await busy_container(sandbox)
            if how == "killed":
                dockerd.kill()
            else:
                dockerd.signal(signal.SIGTERM)
            began = time.monotonic()
            with pytest.raises(EngineUnavailable):
                await collect(events)
            assert time.monotonic() - began < 10
            if how == "killed":
                with pytest.raises(EngineUnavailable, match="no engine") as gone:
                    await collect(sandbox.run("print(1)"))
                assert gone.value.fix
            assert dockerd.process
            await asyncio.to_thread(dockerd.process.wait, 20)
            await asyncio.to_thread(dockerd.start)
            await until(lambda: not processes_of(container))
            await passes(sandbox)
        assert await leftovers(dockerd) == []

    asyncio.run(main())


@pytest.mark.parametrize(
    "program", [pytest.param(BUSY, marks=pytest.mark.long), FLOOD], ids=["busy", "flood"]
)
def test_engine_that_hangs_stops_no_deadline(dockerd: Dockerd, program: str) -> None:
    """The runner keeps the deadline itself, even while nobody reads what it has to say."""
    timeout_s = 1.0

    async def main() -> None:
        async with opened(dockerd, min_warm=1, max_warm=1) as sandbox:
            began = time.monotonic()
            events = sandbox.run(program, timeout_s=timeout_s)
            await begin(events)
            container = await busy_container(sandbox)
            dockerd.signal(signal.SIGSTOP)
            try:
                with pytest.raises(EngineUnavailable, match="did not answer"):
                    await collect(events)
                await until(lambda: not processes_of(container), 5)
                taken_s = time.monotonic() - began
            finally:
                dockerd.signal(signal.SIGCONT)
            assert taken_s < timeout_s + STOP_WITHIN_S + 0.5
            await passes(sandbox)
        assert await leftovers(dockerd) == []

    asyncio.run(main())


def test_nothing_in_the_loop_waits_for_an_engine_that_hangs(dockerd: Dockerd) -> None:
    async def main() -> None:
        async with opened(dockerd, min_warm=1, max_warm=1) as sandbox:
            await passes(sandbox)
            dockerd.signal(signal.SIGSTOP)
            try:
                tried = asyncio.create_task(collect(sandbox.run("print(1)", timeout_s=0.5)))
                began = time.monotonic()
                for _ in range(100):
                    await asyncio.sleep(0.01)
                assert time.monotonic() - began < CALL_TIMEOUT_S / 2
            finally:
                dockerd.signal(signal.SIGCONT)
            await asyncio.gather(tried, return_exceptions=True)
            await passes(sandbox)

    asyncio.run(main())


HOLDER = """
import asyncio, sys
from nova_sandbox import PoolSize, Sandbox

async def main():
    size = PoolSize(min_warm={warm}, max_warm={warm}, max_boxes=20)
    async with Sandbox(engine=sys.argv[1], self_test=False, pool=size) as sandbox:
        async for event in sandbox.run("print(1, flush=True)\\nwhile True: pass", timeout_s=300):
            while sandbox.state().warm < {warm}:
                await asyncio.sleep(0.05)
            print("holds", flush=True)

asyncio.run(main())
"""


def host_killed(dockerd: Dockerd, warm: int) -> None:
    command = [sys.executable, "-c", HOLDER.format(warm=warm), dockerd.url]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout
    try:
        assert holder.stdout.readline() == b"holds\n"
        assert len(asyncio.run(leftovers(dockerd))) == warm + 1
    finally:
        holder.kill()
        holder.communicate()

    async def main() -> None:
        engine = Engine(dockerd.url)
        try:
            containers = [f.id for f in await engine.containers(LABEL)]
            # The runners see their stdin close.
            await until(lambda: not any(processes_of(c) for c in containers))
        finally:
            await engine.close()
        async with opened(dockerd, min_warm=0) as sandbox:
            assert await leftovers(dockerd) == []
            await passes(sandbox)

    asyncio.run(main())


def test_host_killed_with_containers_running(dockerd: Dockerd) -> None:
    host_killed(dockerd, warm=2)


@pytest.mark.long
def test_host_killed_with_ten_containers_running(dockerd: Dockerd) -> None:
    host_killed(dockerd, warm=9)


def test_container_removed_under_a_run(dockerd: Dockerd) -> None:
    async def main() -> None:
        async with opened(dockerd) as sandbox:
            events = sandbox.run(SLEEP)
            await begin(events)
            container = await busy_container(sandbox)
            engine = sandbox._engine  # pyright: ignore[reportPrivateUsage]
            assert engine
            await engine.remove(container)
            with pytest.raises(EngineUnavailable):
                await collect(events)
            await passes(sandbox)

    asyncio.run(main())


@pytest.mark.long
def test_disk_of_the_engine_full(tmp_path: Path) -> None:
    if reason := possible():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    data = tmp_path / "small"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300m", "none", str(data)]
    if subprocess.run(mount).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    dockerd = Dockerd(data)

    async def main() -> None:
        await make_image(dockerd.url, "host")
        async with opened(dockerd, min_warm=0, max_warm=0) as sandbox:
            await passes(sandbox)
            with (data / "filler").open("wb", buffering=0) as filler:
                try:
                    while filler.write(bytes(1 << 20)) == 1 << 20:
                        pass
                except OSError:
                    pass
            with pytest.raises(SandboxError, match="no space left") as full:
                await collect(sandbox.run("print(1)"))
            assert full.value.retryable
            assert "disk" in full.value.fix
            (data / "filler").unlink()
            await passes(sandbox)
        assert await leftovers(dockerd) == []

    try:
        dockerd.start()
        asyncio.run(main())
    finally:
        dockerd.stop()
        subprocess.run(["umount", "--lazy", str(data)], check=False)
