"""Tells the node how the pools of this worker process are, soon after something changed.

On the event loop of the driver.
"""

from __future__ import annotations

import asyncio
import contextlib

from nova_sandbox import PoolState, Sandbox

from nova_node.capability import Pool, report_pools

EVERY_S = 0.25


class Reporter:
    def __init__(self) -> None:
        #: by sandbox: image, and its state as it was reported last
        self._of: dict[Sandbox, tuple[str, PoolState]] = {}
        self._counted: list[Pool] = []
        self._told: list[Pool] = []
        self._timer: asyncio.TimerHandle | None = None

    def follow(self, image: str, sandbox: Sandbox) -> None:
        """Until `forget`."""
        self._of[sandbox] = image, sandbox.state()
        sandbox.on_change(self._changed)
        self._changed()

    def forget(self, sandbox: Sandbox) -> None:
        """Its counts still go out."""
        image, before = self._of.pop(sandbox)
        counts = _since(image, before, sandbox.state())
        self._counted.append(counts._replace(warm=0, busy=0, refilling=0, waiting=0))
        self._changed()

    def _changed(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._tell)

    def _tell(self) -> None:
        self._timer = None
        told, self._counted = self._counted, []
        for sandbox, (image, before) in self._of.items():
            now = sandbox.state()
            told.append(_since(image, before, now))
            self._of[sandbox] = image, now
        if told != self._told:
            self._told = [pool._replace(claims=0, exhausted=0, failed=0) for pool in told]
            with contextlib.suppress(OSError):  # the node is gone, and soon this process
                report_pools(told)


def _since(image: str, before: PoolState, now: PoolState) -> Pool:
    return Pool(
        image,
        now.warm,
        now.busy,
        now.refilling,
        now.waiting,
        now.claims - before.claims,
        now.exhausted - before.exhausted,
        now.failed - before.failed,
    )
