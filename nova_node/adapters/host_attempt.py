"""One attempt that waits, inside the host: what `say`, `ask`, `spend` and the rest of it come to.

Rule: it may be spoken to from any thread, it asks on the loop's alone; past its end it does neither.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from nova_node.adapters.host_frames import Send, Told
from nova_node.adapters.worker_calls import Refusal, encode_json
from nova_node.adapters.worker_secrets import Ears
from nova_node.capability import Answer, Ask, AskFailed, Usage
from nova_node.secrets.redact import BYTES_MAX, Redactor

SETTLE_S = 1.0
ASK_BYTES_MAX = 16 << 20


class _Pending(NamedTuple):
    future: asyncio.Future[Answer]
    ask: Ask
    #: the asker's, in which it is told of output
    context: Context


class HostAttempt:
    def __init__(
        self,
        key: int,
        about: tuple[str, str, int, bool],
        output_bytes: int,
        redactor: Redactor | None,
        send: Send,
        pause_s: Callable[[], float],
    ) -> None:
        """`pause_s` tells how long output waits for more of it, when some went a moment ago."""
        self.key = key
        self.task_id, self.submitter, self.allowance_uusd, self.sensitive = about
        #: None: it told nothing
        self.used: Usage | None = None
        self._send, self._pause_s = send, pause_s
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._ears = Ears(redactor) if redactor else None
        self._lock = threading.Lock()
        #: how much output may still be told, and be taken
        self._room = output_bytes + 1
        self._takes = self._room + (BYTES_MAX if redactor else 0)
        self._held: list[tuple[int, bytes]] = []
        self._due = self._closed = False
        self._flushed_at = 0.0
        self._asked = 0
        self._pending: dict[int, _Pending] = {}
        #: what was cancelled, of which the node still tells what it used
        self._withdrawn: dict[int, int] = {}
        self._told = asyncio.Event()

    # ------------------------------------------------------------ output

    def say(self, text: str) -> None:
        self.write(1, text)

    def write(self, fd: int, text: str) -> None:
        data = text.encode(errors="replace")
        with self._lock:
            if len(data) > self._takes:  # half a value might not be seen to be one
                data, self._takes = b"" if self._ears else data[: self._takes], 0
            else:
                self._takes -= len(data)
            if self._closed or not data:
                return
            self._held.append((fd, data))
            if self._due:
                return
            self._due = True
        if threading.get_ident() == self._thread:
            self._arm()
        else:
            self._loop.call_soon_threadsafe(self._arm)

    def _arm(self) -> None:
        """At once, unless that was done a moment ago."""
        wait_s = self._flushed_at + self._pause_s() - self._loop.time()
        if wait_s > 0:
            self._loop.call_later(wait_s, self._flush)
        else:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            held, self._held, self._due = self._held, [], False
        self._flushed_at = self._loop.time()
        for fd, run in groupby(held, itemgetter(0)):
            data = b"".join([piece for _, piece in run])
            self._tell(fd, self._ears.hear(fd, data) if self._ears else data)

    def _tell(self, fd: int, data: bytes) -> None:
        """Past the cap the node says that it cut; it takes one byte over for that."""
        data = data[: self._room]
        if data:
            self._room -= len(data)
            self._send({"say": fd, "key": self.key}, data)

    # ------------------------------------------------------------ asking

    def spend(self, used: Usage) -> None:
        self.used = used if self.used is None else self.used.plus(used)

    async def ask(self, ask: Ask) -> Answer:
        if self._closed:
            raise AskFailed("cancelled", "the attempt that asks has ended")
        head, body = ask_frame(ask)
        self._asked += 1
        number = self._asked
        pending = self._pending[number] = _Pending(self._loop.create_future(), ask, copy_context())
        self._send({"ask": number, "key": self.key, **head}, body)
        try:
            return await pending.future
        except asyncio.CancelledError:
            if number in self._pending:
                self._withdraw(number, ask)
            raise

    def _withdraw(self, number: int, ask: Ask) -> None:
        del self._pending[number]
        self._withdrawn[number] = ask.allowance_uusd
        self._send({"unask": number, "key": self.key}, b"")

    def heard(self, number: int, text: str) -> None:
        pending = self._pending.get(number)
        if pending is None or pending.ask.say is None:
            return
        try:
            pending.context.run(pending.ask.say, text)
        except Exception as error:
            self._withdraw(number, pending.ask)
            pending.future.set_exception(error)

    def answered(self, number: int, told: Told) -> None:
        if told.usage is not None:
            self.spend(Usage(*told.usage))
        self._withdrawn.pop(number, None)
        self._told.set()
        pending = self._pending.pop(number, None)
        if pending is None or pending.future.done():
            return
        if told.failure is None:
            usage = Usage(*told.usage) if told.usage is not None else None
            pending.future.set_result(Answer(told.value, told.files, told.node, usage))
        else:
            code, message, fix, retryable, trace, retry_after_s = told.failure
            pending.future.set_exception(
                AskFailed(code, message, fix, retryable, trace, retry_after_s)
            )

    # ------------------------------------------------------------ end

    async def settle(self) -> None:
        """Until it is known what cancelled tasks used, or counts as all they might."""
        end = self._loop.time() + SETTLE_S
        while self._withdrawn and (left_s := end - self._loop.time()) > 0:
            self._told.clear()
            try:
                async with asyncio.timeout(left_s):
                    await self._told.wait()
            except TimeoutError:
                break
        for allowance_uusd in self._withdrawn.values():
            if allowance_uusd:
                self.spend(Usage(spent_uusd=allowance_uusd))

    def close(self) -> None:
        """The last of its output is told."""
        self._flush()
        with self._lock:
            self._closed = True
        if self._ears:
            for fd in (1, 2):
                self._tell(fd, self._ears.rest(fd))
        for pending in self._pending.values():
            pending.future.cancel()


def ask_frame(ask: Ask) -> tuple[dict[str, Any], bytes]:
    """Raises Refusal, and TypeError or ValueError for what is no Ask."""
    args = encode_json("ask", dict(ask.args))
    body = b"".join((args, *ask.inputs.values()))
    if len(body) > ASK_BYTES_MAX:
        message = f"an ask of {len(body):,} bytes, more than {ASK_BYTES_MAX:,}"
        raise Refusal("invalid_argument", message, "ask with less")
    head = {
        "ask_for": str(ask.capability),
        "size": len(args),
        "inputs": [(str(name), len(data)) for name, data in ask.inputs.items()],
        "labels": [(str(key), str(label)) for key, label in ask.labels.items()],
        "prefers": [(str(key), str(label)) for key, label in ask.prefers],
        "allowance_uusd": int(ask.allowance_uusd),
        "timeout_s": float(ask.timeout_s),
        "hears": ask.say is not None,
    }
    return head, body
