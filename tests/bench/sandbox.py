"""Warm runs against `docker run --rm` and `docker exec`, interleaved, with one image and one profile.

    python tests/bench/sandbox.py [rounds]

Needs an engine (DOCKER_HOST or the usual socket) and the image of
`nova-sandbox image build --from-host`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nova_sandbox import Finished, Limits, PoolSize, Sandbox
from nova_sandbox.engine import Engine
from nova_sandbox.image import find
from nova_sandbox.profile import container_config, source
from support.sandbox_runs import until

PROGRAM = "print(1)"
LIMITS = Limits()
AT_ONCE_ROUNDS = 5


def line(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    points = {
        f"p{p}": ordered[min(len(ordered) - 1, len(ordered) * p // 100)] for p in (50, 95, 99)
    }
    shown = "  ".join(f"{point} {value * 1000:7.1f}" for point, value in points.items())
    sys.stdout.write(f"{name:<34} {shown}  max {ordered[-1] * 1000:7.1f} ms  n={len(ordered)}\n")
    sys.stdout.flush()


def limits_as_flags(seccomp: Path) -> list[str]:
    """The profile of a warm container, for the docker command."""
    host: dict[str, Any] = container_config("", LIMITS, "runc", {})["HostConfig"]
    flags = [
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--log-driver=none",
        "--ipc=private",
    ]
    flags += ["--user=65534:65534", "--security-opt=no-new-privileges:true"]
    flags += [f"--security-opt=seccomp={seccomp}", f"--pids-limit={host['PidsLimit']}"]
    flags += [f"--memory={host['Memory']}", f"--memory-swap={host['Memory']}"]
    flags += [f"--cpus={LIMITS.cpus}", f"--shm-size={host['ShmSize']}"]
    return flags + [f"--tmpfs={path}:{options}" for path, options in host["Tmpfs"].items()]


def timed(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


async def warm_run(sandbox: Sandbox) -> tuple[float, float]:
    """Until the first byte, and the whole."""
    began = time.perf_counter()
    first = 0.0
    async for event in sandbox.run(PROGRAM):
        first = first or time.perf_counter() - began
        if isinstance(event, Finished):
            assert event.status == "ok", event
    return first, time.perf_counter() - began


async def filled(sandbox: Sandbox, warm: int) -> None:
    def still() -> bool:
        state = sandbox.state()
        return state.warm >= warm and not (state.refilling or state.ending)

    await until(still, 120)
    await asyncio.sleep(0.1)


async def one_by_one(sandbox: Sandbox, cold: list[str], exec_: list[str], rounds: int) -> float:
    """The median of the cold runs."""
    first: list[float] = []
    whole: list[float] = []
    refill: list[float] = []
    colds: list[float] = []
    execs: list[float] = []
    for _ in range(rounds):
        await filled(sandbox, 4)
        refill.append(sandbox.state().refill_s)
        run = await warm_run(sandbox)
        first.append(run[0])
        whole.append(run[1])
        await filled(sandbox, 4)
        colds.append(await asyncio.to_thread(timed, *cold))
        execs.append(await asyncio.to_thread(timed, *exec_))
    line("warm: claim to first byte", first)
    line("warm: whole run", whole)
    line("docker run --rm, same limits", colds)
    line("docker exec, container running", execs)
    line("refill of one container", refill)
    cold_s, exec_s, warm_s = (statistics.median(each) for each in (colds, execs, whole))
    sys.stdout.write(f"cold / warm {cold_s / warm_s:.0f} x, exec / warm {exec_s / warm_s:.0f} x\n")
    return cold_s


async def at_once(sandbox: Sandbox, cold: list[str], count: int, cold_s: float) -> None:
    """All of each kind begin in the same moment; `cold_s` is one cold run on its own."""
    loop = asyncio.get_running_loop()
    warms: list[float] = []
    colds: list[float] = []
    for _ in range(AT_ONCE_ROUNDS):
        await filled(sandbox, 4)
        warms += [
            whole for _, whole in await asyncio.gather(*(warm_run(sandbox) for _ in range(count)))
        ]
        await filled(sandbox, 4)
        with ThreadPoolExecutor(count) as threads:
            begun = [loop.run_in_executor(threads, timed, *cold) for _ in range(count)]
            colds += await asyncio.gather(*begun)
    line(f"{count} at once on a pool of 4", warms)
    line(f"{count} docker run --rm at once", colds)
    sys.stdout.write(
        f"slowest of {count} at once: {max(warms) / max(colds):.2f} x the slowest cold of "
    )
    sys.stdout.write(f"{count} at once, {max(warms) / cold_s:.1f} x one cold run on its own\n")


async def memory_of_idle(engine: Engine, sandbox: Sandbox) -> None:
    await filled(sandbox, 4)
    used: list[int] = []
    for found in await engine.containers("nova.sandbox.node=bench"):
        stats = await engine.call(lambda c, i=found.id: c.stats(i, stream=False, one_shot=True))
        used.append(stats["memory_stats"]["usage"])
    sys.stdout.write(f"memory of an idle container {statistics.median(used) / 1e6:.1f} MB\n")


async def main(rounds: int) -> None:
    engine = Engine()
    image = await find(engine, "host")
    with tempfile.TemporaryDirectory() as folder:
        seccomp = Path(folder) / "seccomp.json"
        seccomp.write_text(json.dumps(json.loads(source("seccomp.json"))))
        flags = limits_as_flags(seccomp)
        program = ["python3", "-I", "-c", PROGRAM]
        docker = ["docker", "-H", engine.url]
        cold = [*docker, "run", "--rm", "--pull=never", *flags, image.id, *program]
        sleeper = [*docker, "run", "--rm", "--pull=never", "--detach", *flags, image.id]
        sleeper += ["python3", "-c", "import time; time.sleep(9999)"]
        name = (await asyncio.to_thread(subprocess.check_output, sleeper, text=True)).strip()
        exec_ = [*docker, "exec", name, *program]
        try:
            size = PoolSize(min_warm=4, max_warm=4, max_boxes=48, claim_timeout_s=60)
            async with Sandbox(self_test=False, limits=LIMITS, pool=size, node="bench") as sandbox:
                await memory_of_idle(engine, sandbox)
                cold_s = await one_by_one(sandbox, cold, exec_, rounds)
                await at_once(sandbox, cold, 20, cold_s)
        finally:
            await engine.remove(name)
            await engine.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 30))
