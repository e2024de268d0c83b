"""A box whose runner is played by the test: one that lies, and one that waits to be let go."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from nova_sandbox.box import Autopsy, Box
from nova_sandbox.events import Event, Finished, Status
from nova_sandbox.frames import DATA, FINISHED, HEAD, NAME
from nova_sandbox.limits import Limits
from nova_sandbox.request import Request

TOLD = {"status": "ok", "message": "", "traceback": "", "exit_code": 0}
END = TOLD | {"wall_s": 0.1, "cpu_s": 0.1, "peak_bytes": 1}


@dataclass
class FakeHandle:
    name: str = "box"
    seen: list[str] = field(default_factory=list[str])

    async def destroy(self, timeout_s: float | None = None) -> None:
        self.seen.append("destroyed")

    async def autopsy(self) -> Autopsy:
        return Autopsy(False, 0)


class Runner:
    """The other end of the stream; it knows the nonce, as a program that took a runner over would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._nonce = b""

    async def asked(self) -> None:
        size, self._nonce, _ = HEAD.unpack(await self._reader.readexactly(HEAD.size))
        await self._reader.readexactly(size)

    def say(self, kind: bytes, payload: bytes | dict[str, Any]) -> None:
        data = json.dumps(payload).encode() if isinstance(payload, dict) else payload
        self._writer.write(HEAD.pack(len(data), self._nonce, kind) + data)

    async def until_let_go(self) -> None:
        assert await self._reader.read() == b""
        self._writer.close()


def scene(play: Callable[[Runner], Awaitable[None]]) -> tuple[list[Event], FakeHandle]:
    async def main() -> tuple[list[Event], FakeHandle]:
        ours, theirs = socket.socketpair()
        handle = FakeHandle()
        box = Box(*await asyncio.open_unix_connection(sock=ours), handle, None)
        reader, writer = await asyncio.open_unix_connection(sock=theirs)

        async def played() -> None:
            await play(Runner(reader, writer))
            handle.seen.append("played")

        playing = asyncio.create_task(played())
        async with asyncio.timeout(20):
            events = [event async for event in box.run(Request("1"), Limits(), keep=False)]
            await box.close()
            await playing
        writer.close()
        return events, handle

    return asyncio.run(main())


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/cron.d/evil", ".."])
def test_a_name_that_leaves_its_folder_is_refused_and_nothing_of_it_comes(name: str) -> None:
    async def play(runner: Runner) -> None:
        await runner.asked()
        runner.say(NAME, {"name": "good", "size": 1})
        runner.say(DATA, b"1")
        runner.say(NAME, {"name": name, "size": 1})
        runner.say(DATA, b"1")
        runner.say(FINISHED, END)

    (end,), _ = scene(play)
    assert isinstance(end, Finished)
    assert end.status is Status.REFUSED
    assert f"a file named {name!r}" in end.message


def test_a_runner_that_is_done_is_let_go_before_it_is_removed() -> None:
    async def play(runner: Runner) -> None:
        await runner.asked()
        runner.say(FINISHED, END)
        await runner.until_let_go()

    (end,), handle = scene(play)
    assert isinstance(end, Finished)
    assert end.status is Status.OK
    assert handle.seen == ["played", "destroyed"]
