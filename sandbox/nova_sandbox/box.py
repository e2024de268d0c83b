"""A box: a warm runner somewhere, with one stream to it. What kind of box it is, its Handle knows.

Everything that comes is read at once and kept, up to what the run may send at most, so nobody in a
box can be held up, or hold anything up, by a slow reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from nova_sandbox.errors import EngineUnavailable
from nova_sandbox.events import Event, Finished, Status
from nova_sandbox.frames import (
    NO_NONCE,
    READY,
    Frame,
    FrameReader,
    MuxReader,
    Violation,
    encode_request,
)
from nova_sandbox.intake import FIXES, Intake
from nova_sandbox.limits import Limits
from nova_sandbox.request import Request

READY_TIMEOUT_S = 20.0
GRACE_S = 1.0
"""After the deadline the runner has this long to say so itself."""
KILL_TIMEOUT_S = 0.9
AUTOPSY_TIMEOUT_S = 3.0
LEAVE_TIMEOUT_S = 1.0
TIMED_OUT_EXIT = 124
"""With which a runner leaves that cannot tell of a timeout."""
FRAMING_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Autopsy:
    out_of_memory: bool
    exit_code: int | None


class Handle(Protocol):
    """The outside of a box."""

    @property
    def name(self) -> str: ...

    async def destroy(self, timeout_s: float | None = None) -> None:
        """Kills all in it and removes it; twice is fine. Without a time, nobody waits for it.
        Raises EngineUnavailable."""
        ...

    async def autopsy(self) -> Autopsy:
        """Why it ended by itself. Raises EngineUnavailable."""
        ...


class Box:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handle: Handle,
        mux: MuxReader | None,
    ) -> None:
        self.handle = handle
        self.lost = False
        self.spent = False
        """Its last run is over, and its runner waits for the end of its stdin."""
        self.on_lost: Callable[[Box], None] = lambda box: None
        self._reader, self._writer, self._mux = reader, writer, mux
        self._frames: asyncio.Queue[Frame | Violation | None] = asyncio.Queue()
        self._room_bytes = FRAMING_BYTES
        self._pump = asyncio.create_task(self._read_all(), name=f"pump {handle.name}")

    async def _read_all(self) -> None:
        """Until the stream ends; the last thing in the queue is None, or the Violation."""
        decoder = FrameReader()
        try:
            while data := await self._reader.read(1 << 18):
                self._room_bytes -= len(data)
                if self._room_bytes < 0:
                    raise Violation("more bytes than a run may send")
                for piece in self._mux.feed(data) if self._mux else (data,):
                    for frame in decoder.feed(piece):
                        self._frames.put_nowait(frame)
            self._frames.put_nowait(None)
        except Violation as violation:
            self._frames.put_nowait(violation)
        except OSError:
            self._frames.put_nowait(None)
        finally:
            self.lost = True
            self.on_lost(self)

    async def _next(self, deadline: float) -> Frame | None:
        async with asyncio.timeout_at(deadline):
            frame = await self._frames.get()
        if isinstance(frame, Violation):
            raise frame
        return frame

    async def ready(self) -> dict[str, Any]:
        """What the runner sees around it, once it is there. Raises EngineUnavailable."""
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        try:
            frame = await self._next(deadline)
            if frame and (frame.kind, frame.nonce) == (READY, NO_NONCE):
                return frame.json()
            why = "it ended at once"
        except Violation as violation:
            why = str(violation)
        except TimeoutError:
            why = f"it did not answer within {READY_TIMEOUT_S:g} s"
        raise EngineUnavailable(
            f"no runner in the new container: {why}. {self.complaint}".strip(),
            "the image needs python3, 3.11 or newer; see nova-sandbox doctor",
        )

    @property
    def complaint(self) -> str:
        """What the runner itself wrote to stderr."""
        return self._mux.complaint.decode(errors="replace").strip() if self._mux else ""

    async def run(self, request: Request, limits: Limits, keep: bool) -> AsyncGenerator[Event]:
        """Events of one run; the last is a Finished. Raises EngineUnavailable when the box is lost
        in a way that says nothing about the program."""
        nonce = secrets.token_bytes(16)
        intake = Intake(nonce, limits)
        self._room_bytes = (
            limits.output_bytes * 2 + limits.files_bytes + limits.result_bytes + FRAMING_BYTES
        )
        deadline = asyncio.get_running_loop().time() + limits.timeout_s + GRACE_S
        try:
            async with asyncio.timeout_at(deadline):
                self._writer.write(encode_request(nonce, request, limits, keep))
                with contextlib.suppress(ConnectionError):
                    await self._writer.drain()
            while intake.finished is None:
                frame = await self._next(deadline)
                if frame is None:
                    yield await self._post_mortem(limits)
                    return
                for event in intake.feed(frame):
                    self.spent = intake.finished is not None and not keep
                    yield event
        except Violation as violation:
            self.lost = True
            yield Finished(
                Status.REFUSED,
                message=f"the container broke the protocol: {violation}",
                fix="the program may have taken the runner over; do not trust it",
            )
        except TimeoutError:
            self.lost = True
            await self.handle.destroy(KILL_TIMEOUT_S)
            yield _timeout(limits)

    async def _post_mortem(self, limits: Limits) -> Finished:
        autopsy = await self.handle.autopsy()
        if autopsy.out_of_memory:
            return Finished(
                Status.OUT_OF_MEMORY,
                message="the kernel killed the container at its memory limit",
                fix=FIXES[Status.OUT_OF_MEMORY],
                exit_code=autopsy.exit_code,
            )
        if autopsy.exit_code == TIMED_OUT_EXIT:
            return _timeout(limits)
        raise EngineUnavailable(
            f"the container was lost, exit code {autopsy.exit_code}. {self.complaint}".strip(),
            "run it again",
        )

    async def _let_leave(self) -> None:
        """The runner ends with its stdin, which is cheaper than being killed."""
        with contextlib.suppress(OSError):
            self._writer.write_eof()
        await asyncio.wait({self._pump}, timeout=LEAVE_TIMEOUT_S)

    async def close(self) -> None:
        """Destroys it, reading on meanwhile: an engine that cannot write may not kill either."""
        self.on_lost = lambda box: None
        try:
            if self.spent and not self.lost:
                await self._let_leave()
            await self.handle.destroy()
        finally:
            self._pump.cancel()
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
            await asyncio.gather(self._pump, return_exceptions=True)


def _timeout(limits: Limits) -> Finished:
    return Finished(
        Status.TIMEOUT,
        message=f"still running after {limits.timeout_s:g} s",
        fix=FIXES[Status.TIMEOUT],
    )
