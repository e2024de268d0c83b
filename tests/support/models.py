"""Models for tests: a service over fake providers, and an attempt that asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from nova_node.capability import Answer, Ask, Usage, attempt_of, given_settings
from nova_node.models.service import service

CACHE: dict[str, Any] = {
    "models.cache_ttl_s": 3600.0,
    "models.cache_cap_bytes": 1 << 30,
    "models.cache_embed": "",
    "models.cache_similarity": 0.92,
}


@dataclass
class FakeAttempt:
    """An attempt that asks for nothing, and keeps what it says and spends."""

    allowance_uusd: int = 0
    task_id: str = "k7q2m9xd-42"
    submitter: str = ""
    sensitive: bool = False
    said: list[str] = field(default_factory=list[str])
    used: Usage = Usage()
    told: int = 0

    def say(self, text: str) -> None:
        self.said.append(text)

    def spend(self, used: Usage) -> None:
        self.used = self.used.plus(used)
        self.told += 1

    async def ask(self, ask: Ask) -> Answer:
        raise AssertionError(ask)


@contextmanager
def models(uses: Iterable[str], timeout_s: float = 10.0, **more: Any) -> Generator[None]:
    """Within it, this process is a host with these models; it remembers answers if `more` holds a
    data_dir."""
    settings = {"models.use": list(uses), "models.discover": False, "models.timeout_s": timeout_s}
    with given_settings({**settings, **CACHE, **more}):
        yield


@contextmanager
def attempting(
    uses: Iterable[str], allowance_uusd: int = 0, timeout_s: float = 10.0
) -> Generator[FakeAttempt]:
    """Within it, this is an attempt in such a host."""
    attempt = FakeAttempt(allowance_uusd)
    with ExitStack() as stack:
        stack.enter_context(models(uses, timeout_s))
        stack.enter_context(attempt_of(attempt))
        yield attempt


def call(work: Coroutine[Any, Any, Any]) -> Any:
    """What it comes to, in a process of its own kind: its connections are closed after."""

    async def main() -> Any:
        try:
            return await work
        finally:
            await service().asker.gateway.close()

    return asyncio.run(main())
