"""Output of an attempt in the host: the first word leaves at once, the rest waits for more of it."""

from __future__ import annotations

import asyncio
from typing import Any

from nova_node.adapters.host_attempt import HostAttempt

PAUSE_S = 600.0
"""Longer than any test: what waits for it does not leave by itself."""


def test_the_first_word_leaves_at_once_and_the_rest_together() -> None:
    told: list[tuple[dict[str, Any], bytes]] = []

    async def main() -> None:
        attempt = HostAttempt(
            7,
            ("task", "", 0, False),
            1000,
            None,
            lambda head, body: told.append((head, body)),
            lambda: PAUSE_S,
        )
        attempt.say("one ")
        assert told == [({"say": 1, "key": 7}, b"one ")]
        attempt.say("two ")
        await asyncio.sleep(0)
        attempt.say("three")
        assert len(told) == 1
        attempt.close()
        attempt.say("too late")

    asyncio.run(main())
    assert [body for _, body in told] == [b"one ", b"two three"]
