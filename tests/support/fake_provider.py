"""A model provider that answers as it is told: a real HTTP server on loopback, in the OpenAI protocol.

    with FakeProvider() as provider:
        provider.script(Fail(429, retry_after_s=2), Say("hello"))
        ...ask provider.url...
        provider.requests[0].body["messages"]

Each request takes the next step of the script; without one it gets `provider.otherwise`. Every byte that
arrives is kept, so that a test can say what did not. It runs in a thread of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HUGE_PIECE = "x" * 4096


@dataclass(frozen=True)
class Say:
    """An answer, in as many pieces as there are words. `usage` is input and output tokens; None: the
    server tells none. Each piece waits `delay_s`; the first waits for `before` as well."""

    text: str = ""
    usage: tuple[int, int] | None = (10, 5)
    finish: str = "stop"
    tools: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    delay_s: float = 0.0
    before: threading.Event | None = None
    cached_tokens: int = 0


@dataclass(frozen=True)
class Fail:
    status: int
    message: str = "as told"
    retry_after_s: float | None = None
    code: str = ""


@dataclass(frozen=True)
class Hang:
    """Says `text`, or nothing, not even a status, and then nothing more."""

    text: str = ""


@dataclass(frozen=True)
class Half:
    """Says `text`, then ends: cleanly, or in the middle of a chunk."""

    text: str = ""
    clean: bool = False


@dataclass(frozen=True)
class Malformed:
    """Says `text`, then an event that is no JSON."""

    text: str = ""


@dataclass(frozen=True)
class Huge:
    """Says far more than it was asked for; `one_line`: in one event without an end."""

    size_bytes: int = 64 << 20
    one_line: bool = False


@dataclass(frozen=True)
class Redirect:
    url: str


Step = Say | Fail | Hang | Half | Malformed | Huge | Redirect
Answer = Callable[["Request"], Step]


@dataclass
class Request:
    """What arrived. `gone` is set when the caller closed before the answer was complete."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes
    body: dict[str, Any]
    gone: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def prompt(self) -> str:
        return str(self.body["messages"][-1]["content"])


class FakeProvider:
    """`owned_by` and `context` are told of the models; tests of discovery want them."""

    def __init__(
        self,
        models: Sequence[str] = ("fake",),
        port: int = 0,
        owned_by: str = "fake",
        context: int = 0,
    ) -> None:
        self.models, self.port, self.owned_by, self.context = list(models), port, owned_by, context
        self.requests: list[Request] = []
        self.otherwise: Answer = lambda request: Say("This is what a model says.")
        #: what a text is made of by an embedding model
        self.vector: Callable[[str], list[float]] = vector_of
        self.busiest = 0
        self._busy = 0
        self._steps: deque[Step] = deque()
        self._lock = threading.Lock()
        self._arrived = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FakeProvider:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def raw(self) -> bytes:
        """All that ever arrived."""
        return b"".join(request.raw for request in self.requests)

    @property
    def asked(self) -> list[Request]:
        """The requests, less those that only ask which models there are."""
        return [request for request in self.requests if request.method == "POST"]

    def script(self, *steps: Step) -> None:
        with self._lock:
            self._steps.extend(steps)

    def wait_for(self, count: int, timeout_s: float = 10.0) -> list[Request]:
        """Until so many questions have arrived."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.asked) >= count, timeout_s)
            return self.asked

    # ---------------------------------------------------------------- the server

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        await (
            _settled()
        )  # a server that is closed has no transport for what it accepted just before
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(reader)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while request := await line.read():
                with self._arrived:
                    self.requests.append(request)
                    self._arrived.notify_all()
                self._busy += 1
                self.busiest = max(self.busiest, self._busy)
                try:
                    if not await self._handle(request, line, writer):
                        break
                finally:
                    self._busy -= 1
        writer.close()

    async def _handle(self, request: Request, line: _Line, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection may be used again."""
        answering = asyncio.ensure_future(self._answer(request, writer))
        hearing = asyncio.ensure_future(line.closed())
        try:
            await asyncio.wait((answering, hearing), return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                again = answering.result()
                request.done.set()
                return again
            request.gone.set()
            return False
        except OSError:
            request.gone.set()
            return False
        finally:
            for each in (answering, hearing):
                each.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await each

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bool:
        if request.method == "GET" and request.path == "/v1/models":
            return await _json(writer, 200, {"object": "list", "data": self._listed()})
        if request.path == "/v1/embeddings":
            with self._lock:
                step = self._steps.popleft() if self._steps else Say()
            if isinstance(step, Fail):
                return await _fail(writer, step)
            return await _json(writer, 200, _embedded(request.body, self.vector))
        if request.path != "/v1/chat/completions":
            return await _json(writer, 404, {"error": {"message": f"no {request.path}"}})
        with self._lock:
            step = self._steps.popleft() if self._steps else None
        return await _chat(step or self.otherwise(request), request, writer)

    def _listed(self) -> list[dict[str, Any]]:
        row: dict[str, Any] = {"object": "model", "owned_by": self.owned_by}
        if self.context:
            row["max_model_len"] = self.context
        return [{"id": name, **row} for name in self.models]


class _Line:
    """What a caller sends. `closed` may hear the start of the next request: it is kept."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._held = b""

    async def closed(self) -> None:
        while data := await self._reader.read(1 << 16):
            self._held += data

    async def read(self) -> Request | None:
        while b"\r\n\r\n" not in self._held:
            data = await self._reader.read(1 << 16)
            if not data:
                return None
            self._held += data
        head, _, rest = self._held.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines)
        headers = {key.lower(): value.strip() for key, _, value in pairs}
        size = int(headers.get("content-length", "0"))
        if len(rest) < size:
            rest += await self._reader.readexactly(size - len(rest))
        data, self._held = rest[:size], rest[size:]
        raw = head + b"\r\n\r\n" + data
        body: dict[str, Any] = json.loads(data) if data else {}
        return Request(method, path.partition("?")[0], headers, raw, body)


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


# ---------------------------------------------------------------- answers


async def _chat(step: Step, request: Request, writer: asyncio.StreamWriter) -> bool:
    match step:
        case Fail():
            return await _fail(writer, step)
        case Redirect(url):
            writer.write(
                f"HTTP/1.1 307 Away\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n".encode()
            )
            await writer.drain()
            return True
        case Hang(""):
            await asyncio.Event().wait()
        case Say() if not request.body.get("stream"):
            await _wait(step.before)
            await asyncio.sleep(step.delay_s)
            return await _json(writer, 200, _whole(step, request))
        case _:
            pass
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    async for data in _events(step, request):
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()
    if isinstance(step, Hang):
        await asyncio.Event().wait()
    if isinstance(step, Half) and not step.clean:
        writer.write(b"ff\r\ndata: {")
        await writer.drain()
        return False
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _events(step: Step, request: Request) -> AsyncIterator[bytes]:
    def event(delta: Mapping[str, Any], finish: str | None = None) -> bytes:
        return _event(request, [{"index": 0, "delta": delta, "finish_reason": finish}])

    match step:
        case Say():
            await _wait(step.before)
            yield event({"role": "assistant", "content": ""})
            for piece in pieces(step.text):
                await asyncio.sleep(step.delay_s)
                yield event({"content": piece})
            for number, (name, args) in enumerate(step.tools):
                for delta in _tool_deltas(number, name, args):
                    yield event({"tool_calls": [delta]})
            yield event({}, "tool_calls" if step.tools else step.finish)
            options: dict[str, Any] = request.body.get("stream_options") or {}
            if step.usage and options.get("include_usage"):
                yield _event(request, [], _usage(step))
            yield b"data: [DONE]\n\n"
        case Hang(text) | Half(text) | Malformed(text):
            for piece in pieces(text):
                yield event({"content": piece})
            if isinstance(step, Malformed):
                yield b'data: {"choices": [{"delta": {"con\n\n'
        case Huge(size_bytes, one_line):
            if one_line:
                yield b'data: {"choices": [{"delta": {"content": "'
            for _ in range(size_bytes // len(HUGE_PIECE)):
                yield HUGE_PIECE.encode() if one_line else event({"content": HUGE_PIECE})
        case Fail() | Redirect():
            raise AssertionError(step)


def pieces(text: str) -> list[str]:
    """Words, each with the space before it."""
    words = text.split(" ")
    return [word if not i else f" {word}" for i, word in enumerate(words)] if text else []


def _tool_deltas(number: int, name: str, args: Mapping[str, Any]) -> list[dict[str, Any]]:
    text = json.dumps(args)
    half = len(text) // 2
    head = {"index": number, "id": f"call_{number}", "type": "function"}
    return [
        {**head, "function": {"name": name, "arguments": text[:half]}},
        {"index": number, "function": {"arguments": text[half:]}},
    ]


def _event(
    request: Request, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None
) -> bytes:
    row: dict[str, Any] = {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": request.body.get("model"),
        "choices": choices,
    }
    if usage:
        row["usage"] = usage
    return b"data: " + json.dumps(row).encode() + b"\n\n"


def _usage(step: Say) -> dict[str, Any]:
    given, made = step.usage or (0, 0)
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": step.cached_tokens},
    }


def _whole(step: Say, request: Request) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": step.text}
    if step.tools:
        message["tool_calls"] = [
            {
                "id": f"call_{number}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(args)},
            }
            for number, (name, args) in enumerate(step.tools)
        ]
    finish = "tool_calls" if step.tools else step.finish
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1,
        "model": request.body.get("model"),
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": _usage(step),
    }


def _embedded(body: Mapping[str, Any], vector: Callable[[str], list[float]]) -> dict[str, Any]:
    """Vectors of eight numbers, of what letters a text has: like texts are near each other."""
    given = body["input"]
    texts = [given] if isinstance(given, str) else [str(each) for each in given]
    rows = [
        {"object": "embedding", "index": i, "embedding": vector(text)}
        for i, text in enumerate(texts)
    ]
    tokens = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": body["model"], "data": rows, "usage": usage}


def vector_of(text: str) -> list[float]:
    counts = [0.0] * 8
    for sign in text.lower():
        counts[ord(sign) % 8] += 1
    size = sum(count * count for count in counts) ** 0.5 or 1.0
    return [count / size for count in counts]


async def _fail(writer: asyncio.StreamWriter, step: Fail) -> bool:
    extra = {} if step.retry_after_s is None else {"retry-after": f"{step.retry_after_s:g}"}
    error = {"message": step.message, "type": "error", "code": step.code or None}
    return await _json(writer, step.status, {"error": error}, extra)


async def _json(
    writer: asyncio.StreamWriter, status: int, body: object, extra: Mapping[str, str] | None = None
) -> bool:
    data = json.dumps(body).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(data)),
        **(extra or {}),
    }
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    writer.write(f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + data)
    await writer.drain()
    return True


async def _wait(event: threading.Event | None) -> None:
    if event is not None:
        await asyncio.get_running_loop().run_in_executor(None, event.wait, 30)


def main() -> None:
    """For a person, and for measurements: `python fake_provider.py --port 8001 --words 100`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--words", type=int, default=50)
    parser.add_argument("--delay-ms", type=float, default=0.0)
    given = parser.parse_args()
    text = " ".join(f"word{i}" for i in range(given.words))
    with FakeProvider(port=given.port) as provider:
        provider.otherwise = lambda request: Say(
            text, (10, given.words), delay_s=given.delay_ms / 1000
        )
        print(provider.url, flush=True)  # noqa: T201
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


if __name__ == "__main__":
    main()
