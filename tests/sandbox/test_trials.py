"""Every hostile program, on a real engine: it ends as it has to, and the next task passes."""

from __future__ import annotations

import asyncio
import time

import pytest
from nova_sandbox import Status
from nova_sandbox.lease import LABEL, OWNER
from nova_sandbox.trials import TRIALS, Trial, verdict
from support.sandbox_runs import SandboxHost

STOP_WITHIN_S = 2.0
TRIAL_TIMEOUT_S = 20.0


@pytest.mark.parametrize("trial", TRIALS, ids=lambda t: t.name)
def test_hostile_program_ends_as_it_has_to(host: SandboxHost, trial: Trial) -> None:
    timeout_s = trial.timeout_s or TRIAL_TIMEOUT_S
    seen: list[float] = []

    async def tried() -> list[str]:
        faults = await verdict(
            trial, host.sandbox.run(trial.code, language=trial.language, timeout_s=timeout_s)
        )
        seen.append(time.monotonic())
        return faults

    began = time.monotonic()
    assert not host.wait(tried())
    assert seen[0] - began < timeout_s + STOP_WITHIN_S + host.sandbox.state().refill_s
    if trial.status not in (Status.OK, Status.ERROR):
        following = host.run("print('next')")
        assert (following.stdout, following.status) == ("next\n", "ok")


def test_nothing_is_left_of_them(host: SandboxHost) -> None:
    """Only what the pool holds, once it has thrown the last one away."""

    async def settle() -> tuple[dict[str, str], set[str]]:
        pool, engine = host.sandbox._pool, host.sandbox._engine  # pyright: ignore
        assert pool
        assert engine
        mine = str(host.sandbox._owner)  # pyright: ignore[reportPrivateUsage]
        latest = time.monotonic() + 20
        while True:
            before = pool.names()
            there = {
                found.name: found.state
                for found in await engine.containers(LABEL)
                if found.labels[OWNER] == mine
            }
            still = there.keys() == before == pool.names() and not pool.state().refilling
            if still or time.monotonic() > latest:
                return there, before
            await asyncio.sleep(0.1)

    there, held = host.wait(settle())
    assert there.keys() == held, there
    assert host.sandbox.state().busy == 0
