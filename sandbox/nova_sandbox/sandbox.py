"""The way in: `async with Sandbox(...) as s: async for event in s.run(code, args)`.

Every run has a box of its own, taken warm from a pool and thrown away after it. A session keeps one
box for several runs of the one who opened it; nobody else can reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from nova_sandbox import image, lease, probe, profile
from nova_sandbox.box import GRACE_S, Box
from nova_sandbox.container import ContainerMaker, reap
from nova_sandbox.engine import Engine
from nova_sandbox.errors import NotOffered, SandboxError
from nova_sandbox.events import Event, Finished
from nova_sandbox.limits import Limits, Tier
from nova_sandbox.pool import Pool, PoolSize, PoolState
from nova_sandbox.process import ProcessMaker
from nova_sandbox.request import Language, Request, refusal

LOG = logging.getLogger(__name__)
REAP_EVERY_S = 60.0

Runtime = Literal["docker", "process"]


@dataclass(frozen=True, slots=True)
class Settings:
    """`engine` is `unix://PATH`, empty for $DOCKER_HOST or the usual socket. `oci_runtime` names
    another runtime of the engine for the trusted tier, such as crun. `node` is a label."""

    image: str = image.DEFAULT
    tier: Tier = Tier.TRUSTED
    limits: Limits = Limits()
    pool: PoolSize = PoolSize()
    runtime: Runtime = "docker"
    engine: str = ""
    oci_runtime: str = ""
    node: str = ""
    self_test: bool = True


class Sandbox:
    """`settings`, with single ones given by name: `Sandbox(image="science")`.

    Entering raises SandboxError: EngineUnavailable, ImageMissing, NotOffered (no runsc for the tier
    `untrusted`), Insecure (a limit does not bite here)."""

    def __init__(self, settings: Settings = Settings(), /, **changes: Any) -> None:
        self.settings = replace(settings, **changes)
        self.labels: dict[str, str] = {}
        """Of its image, once it is open."""
        self._engine: Engine | None = None
        self._pool: Pool | None = None
        self._reaping: asyncio.Task[None] | None = None
        self._owner = lease.new_owner()

    async def __aenter__(self) -> Sandbox:
        try:
            if self.settings.runtime == "process":
                await self._start_processes()
            else:
                await self._start_containers()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _start_processes(self) -> None:
        if self.settings.tier is Tier.UNTRUSTED:
            raise NotOffered(
                "the runtime `process` is no boundary, and not for untrusted code",
                "use Docker with gVisor's runsc",
            )
        self._pool = Pool(ProcessMaker(self.settings.limits).make, self.settings.pool)
        self._pool.start()

    async def _start_containers(self) -> None:
        settings = self.settings
        self._engine = engine = Engine(settings.engine)
        runtime = runtime_of(settings, await engine.info())
        found = await image.find(engine, settings.image)
        self.labels = found.labels
        await reap(engine, self._owner)
        idle_s = settings.pool.idle_s
        maker = ContainerMaker(
            engine=engine,
            image_id=found.id,
            tier=settings.tier,
            runtime=runtime,
            limits=settings.limits,
            owner=self._owner,
            node=settings.node,
            lease_s=idle_s + settings.limits.timeout_s + 10 * GRACE_S,
        )
        self._pool = Pool(maker.make, settings.pool)
        if settings.self_test:
            await probe.check(maker)
        self._pool.start()
        self._reaping = asyncio.create_task(self._reap(engine, maker.held))

    async def _reap(self, engine: Engine, held: set[str]) -> None:
        while True:
            await asyncio.sleep(REAP_EVERY_S)
            try:
                if gone := await reap(engine, self._owner, held):
                    LOG.warning("removed containers that nobody held: %s", ", ".join(gone))
            except SandboxError as error:
                LOG.warning("cannot look for orphans: %s", error)

    @property
    def _boxes(self) -> Pool:
        if self._pool is None:
            raise NotOffered("the sandbox is not open", "use it in `async with Sandbox() as s:`")
        return self._pool

    def state(self) -> PoolState:
        return self._boxes.state()

    def on_change(self, changed: Callable[[], None]) -> None:
        """`changed` is called, on the loop, whenever `state` may give something else."""
        self._boxes.on_change = changed

    async def run(
        self,
        code: str,
        args: Sequence[str] = (),
        *,
        language: Language = "python",
        stdin: bytes = b"",
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Event]:
        """Runs a program; see events for what comes. Leaving the loop early kills it.

        Raises SandboxError when the sandbox fails; whatever the program does is a Finished."""
        request = Request(code, tuple(args), language, stdin, timeout_s)
        if refused := refusal(request, self.settings.limits):
            yield refused
            return
        box = await self._boxes.claim()
        try:
            async with contextlib.aclosing(self._run_in(box, request, False)) as events:
                async for event in events:
                    yield event
        finally:
            self._boxes.release(box)

    def _run_in(self, box: Box, request: Request, keep: bool) -> AsyncGenerator[Event]:
        return box.run(request, self.settings.limits.within(request.timeout_s), keep)

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """One box for several runs, one after the other, of one tenant. /tmp stays between them,
        processes and /out do not."""
        box = await self._boxes.claim()
        try:
            yield Session(box, self.settings.limits)
        finally:
            self._boxes.release(box)

    async def close(self) -> None:
        """Kills what runs. Twice is fine."""
        if self._reaping:
            self._reaping.cancel()
            await asyncio.gather(self._reaping, return_exceptions=True)
        if self._pool:
            await self._pool.close()
        if self._engine:
            with contextlib.suppress(SandboxError):  # what a failing engine kept us from removing
                await reap(self._engine, self._owner)
            await self._engine.close()


class Session:
    """See Sandbox.session. When a run loses the box, the next one raises."""

    def __init__(self, box: Box, limits: Limits) -> None:
        self._box = box
        self._limits = limits
        self._running = asyncio.Lock()

    async def run(
        self,
        code: str,
        args: Sequence[str] = (),
        *,
        language: Language = "python",
        stdin: bytes = b"",
        timeout_s: float | None = None,
    ) -> AsyncGenerator[Event]:
        """As Sandbox.run. Raises NotOffered after a run that ended the box."""
        request = Request(code, tuple(args), language, stdin, timeout_s)
        if refused := refusal(request, self._limits):
            yield refused
            return
        async with self._running:
            if self._box.lost:
                raise NotOffered("the session's box has ended", "open another session")
            finished = False
            try:
                limits = self._limits.within(timeout_s)
                async with contextlib.aclosing(self._box.run(request, limits, True)) as events:
                    async for event in events:
                        finished = isinstance(event, Finished)
                        yield event
            finally:
                self._box.lost |= not finished


def runtime_of(settings: Settings, info: dict[str, object]) -> str:
    """The engine's runtime for the tier asked for. Raises NotOffered."""
    known = info.get("Runtimes")
    name = profile.RUNTIMES[settings.tier]
    if settings.tier is Tier.TRUSTED and settings.oci_runtime:
        name = settings.oci_runtime
    if not isinstance(known, dict) or name not in known:
        fix = "install it and name it in the engine's configuration: runtimes in daemon.json"
        if settings.tier is Tier.UNTRUSTED:
            fix = "install gVisor and run `runsc install`, then restart Docker; or trust the code"
        raise NotOffered(f"the engine has no runtime {name}, which {settings.tier} code needs", fix)
    return name
