"""Asks models by litellm, which is imported here alone, when a model is first asked.

Rules: streams are closed in `finally`, so that a cancel reaches the provider; what comes back is bounded;
litellm neither retries, nor logs, nor asks the network for anything but the model.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from nova_node.models.failing import (
    ModelFailed,
    broken_off,
    of_status,
    retry_after_s,
    scrub,
    timed_out,
    too_much,
)
from nova_node.models.spec import OPENAI, Spec

NO_KEY = "none"
"""Where a server wants none, so that a key for another, from the environment, never goes there."""

TEXT_MIN_BYTES = 64 << 10
TEXT_BYTES_PER_TOKEN = 64
PIECES_PER_TOKEN = 4
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")

_NAMES = re.compile(r"^(?:(?:litellm\.)?(?:\w+ )?\w*(?:Error|Exception|Timeout)\s*[:-]\s+)+")

Tell = Callable[[str], None]


class Question(NamedTuple):
    """`max_tokens` bounds what a model may answer; None and nothing: left to the model."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: object = None


class Reply(NamedTuple):
    """`tool_calls` as in the OpenAI protocol. `ttft_s` is 0 when no piece came before the end."""

    text: str
    finish: str
    tool_calls: tuple[Mapping[str, Any], ...]
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    ttft_s: float
    elapsed_s: float


class Vectors(NamedTuple):
    vectors: list[list[float]]
    input_tokens: int


class Gateway:
    """Of one process and its event loop."""

    def __init__(self) -> None:
        self._loading: asyncio.Task[Any] | None = None
        self._clients: dict[tuple[str, str], Any] = {}

    @property
    def loaded(self) -> bool:
        return self._loading is not None and self._loading.done()

    async def load(self) -> Any:
        """litellm, ready; some seconds the first time, in a thread."""
        if self._loading is None:
            self._loading = asyncio.create_task(asyncio.to_thread(_load))
        return await asyncio.shield(self._loading)

    async def chat(
        self, spec: Spec, key: str, question: Question, timeout_s: float, tell: Tell
    ) -> Reply:
        """Tells each piece of the text as it comes; none comes for `timeout_s`: model_timeout.

        Raises ModelFailed."""
        litellm = await self.load()
        hearing = _Hearing(spec.name, question, tell)
        stream: Any = None
        try:
            async with asyncio.timeout(timeout_s) as patience:
                stream = await litellm.acompletion(
                    messages=list(question.messages),
                    stream=True,
                    stream_options={"include_usage": True},
                    **_wishes(question),
                    **self._way(litellm, spec, key, timeout_s),
                )
                if spec.provider == OPENAI:
                    stream.completion_stream = _chunks(stream.completion_stream)
                clock = asyncio.get_running_loop().time
                async for chunk in stream:
                    hearing.hear(chunk)
                    patience.reschedule(clock() + timeout_s)
                    # what was said leaves, and others go on, though much may have come at once
                    await asyncio.sleep(0)
            # litellm would make up a good end; of other protocols it does not tell
            if spec.provider == OPENAI and stream.received_finish_reason is None:
                raise broken_off(f"{spec.name}: the answer broke off")
            return hearing.reply()
        except Exception as error:
            raise self._failed(spec, key, error, began=stream is not None) from None
        finally:
            if stream is not None:
                await stream.aclose()

    async def embed(self, spec: Spec, key: str, texts: Sequence[str], timeout_s: float) -> Vectors:
        """A vector for each text. Raises ModelFailed."""
        litellm = await self.load()
        try:
            async with asyncio.timeout(timeout_s):
                response = await litellm.aembedding(
                    input=list(texts), **self._way(litellm, spec, key, timeout_s)
                )
            rows = sorted(response.data, key=lambda row: row["index"])
            vectors = [[float(each) for each in row["embedding"]] for row in rows]
        except Exception as error:
            raise self._failed(spec, key, error, began=False) from None
        if len(vectors) != len(texts):
            raise too_much(spec.name, f"{len(vectors)} vectors for {len(texts)} texts")
        return Vectors(vectors, int(response.usage.prompt_tokens or 0))

    async def count(self, spec: Spec, question: Question) -> int:
        """Tokens of what a model is asked, as litellm counts them: near, for most models."""
        litellm = await self.load()
        return await asyncio.to_thread(
            litellm.token_counter,
            model=spec.model,
            messages=[dict(message) for message in question.messages],
            tools=[dict(tool) for tool in question.tools] or None,
            use_default_image_token_count=True,
        )

    async def close(self) -> None:
        clients, self._clients = self._clients, {}
        for each in clients.values():
            await each.close()

    def _way(self, litellm: Any, spec: Spec, key: str, timeout_s: float) -> dict[str, Any]:
        way: dict[str, Any] = {
            "model": spec.model,
            "timeout": timeout_s + 5,
            "num_retries": 0,
            "max_retries": 0,
            "_skip_mcp_handler": True,  # it would ask servers that a caller names
        }
        if spec.provider != OPENAI:
            return way | ({"api_key": key} if key else {})
        key = key or NO_KEY
        client = self._clients.get((spec.url, key))
        if client is None:
            if spec.local:
                _ask_directly(urlsplit(spec.url).hostname or "")
            client = self._clients[spec.url, key] = _openai_client(spec.url, key)
        return way | {
            "custom_llm_provider": OPENAI,
            "api_base": spec.url,
            "api_key": key,
            "client": client,
        }

    def _failed(self, spec: Spec, key: str, error: Exception, began: bool) -> ModelFailed:
        if isinstance(error, ModelFailed):
            return error
        if isinstance(error, TimeoutError):
            return timed_out(f"{spec.name} did not go on in time")
        if _came_of(error, "LineTooLong"):
            return too_much(spec.name, "a line without an end")
        status = int(getattr(error, "status_code", 0) or 0)
        said = scrub(_said(error), (key,))
        if began or type(error).__name__ == "Timeout":
            what = f"{spec.name}: {said}"
            return broken_off(what) if began and status != 408 else timed_out(what)
        if _came_of(error, "APIConnectionError"):
            status = 0
        return of_status(spec.name, status, said, retry_after_s(_headers(error)))


class _Hearing:
    """What came of a stream so far, within bounds."""

    def __init__(self, name: str, question: Question, tell: Tell) -> None:
        self._name, self._tell = name, tell
        self._started = time.monotonic()
        self._first = 0.0
        self._room = max(TEXT_MIN_BYTES, question.max_tokens * TEXT_BYTES_PER_TOKEN)
        self._pieces_left = question.max_tokens * PIECES_PER_TOKEN + 1000
        self._texts: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._finish = ""
        self._usage: Any = None

    def hear(self, chunk: Any) -> None:
        """Raises ModelFailed when it is far more than was asked for."""
        self._pieces_left -= 1
        if usage := getattr(chunk, "usage", None):
            self._usage = usage
        for choice in chunk.choices[:1]:
            delta = choice.delta
            if text := delta.content:
                self._take(text)
                self._texts.append(text)
                self._tell(text)
            if thought := getattr(delta, "reasoning_content", None):
                self._take(thought)
            for part in delta.tool_calls or ():
                self._call(part)
            self._finish = choice.finish_reason or self._finish
        if self._pieces_left < 0:
            raise too_much(self._name, "pieces without an end")

    def _take(self, text: str) -> None:
        if not self._first:
            self._first = time.monotonic()
        self._room -= len(text)
        if self._room < 0:
            raise too_much(self._name, "text without an end")

    def _call(self, part: Any) -> None:
        call = self._calls.setdefault(part.index or 0, {"id": "", "name": "", "arguments": ""})
        name, arguments = part.function.name or "", part.function.arguments or ""
        self._take(name + arguments)
        call["id"] = call["id"] or part.id or ""
        call["name"] += name
        call["arguments"] += arguments

    def reply(self) -> Reply:
        now, usage = time.monotonic(), self._usage
        details = getattr(usage, "prompt_tokens_details", None)
        return Reply(
            "".join(self._texts),
            self._finish,
            tuple(_tool_call(call) for _, call in sorted(self._calls.items())),
            int(getattr(usage, "prompt_tokens", 0) or 0),
            int(getattr(usage, "completion_tokens", 0) or 0),
            int(getattr(details, "cached_tokens", 0) or 0),
            self._first - self._started if self._first else 0.0,
            now - self._started,
        )


def _tool_call(call: Mapping[str, str]) -> Mapping[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "type": "function", "function": function}


def _wishes(question: Question) -> dict[str, Any]:
    wishes: dict[str, Any] = {
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
        "top_p": question.top_p,
        "seed": question.seed,
        "stop": list(question.stop),
        "tools": list(question.tools),
        "tool_choice": question.tool_choice,
    }
    if question.schema is not None:
        shape = {"name": "answer", "schema": question.schema}
        wishes["response_format"] = {"type": "json_schema", "json_schema": shape}
    return {name: wish for name, wish in wishes.items() if wish is not None and wish != []}


def _said(error: Exception) -> str:
    """Without the names of exceptions that litellm puts in front, and what it quotes again."""
    text = str(error).partition(" Original exception:")[0]
    return _NAMES.sub("", text) or type(error).__name__


def _came_of(error: BaseException | None, name: str) -> bool:
    """Whether an exception of this name is among those that led to it."""
    for _ in range(20):
        if error is None:
            return False
        if any(kind.__name__ == name for kind in type(error).__mro__):
            return True
        error = error.__cause__ or error.__context__
    return False


def _headers(error: Exception) -> Mapping[str, str]:
    found = getattr(error, "litellm_response_headers", None)
    if not found:
        found = getattr(getattr(error, "response", None), "headers", None)
    return cast("Mapping[str, str]", found or {})


# ---------------------------------------------------------------- loading


def _load() -> Any:
    """Blocks for seconds, the first time."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"  # else it reads a file .env
    _ask_directly(*LOCAL_HOSTS)
    import litellm as found

    warnings.filterwarnings("ignore", module=r"(litellm|pydantic)\b")
    litellm: Any = found
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_hf_tokenizer_download = True
    litellm.drop_params = True
    litellm.num_retries = 0
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "httpx", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    _warm(litellm)
    return litellm


def _warm(litellm: Any) -> None:
    """What litellm loads with the first prompt would count as that model's time. Asks nobody."""
    litellm.token_counter(model="", text="loads what counts")
    said = [{"role": "user", "content": "loads what asks"}]
    for _ in litellm.completion("openai/none", said, stream=True, mock_response="yes"):
        pass
    assert _openai_client("http://127.0.0.1:9/v1", NO_KEY).chat.completions


def _ask_directly(*hosts: str) -> None:
    """No proxy of the environment gets to see what is for these."""
    for variable in ("no_proxy", "NO_PROXY"):
        known = [host for host in os.environ.get(variable, "").split(",") if host]
        os.environ[variable] = ",".join(dict.fromkeys((*known, *hosts)))


def _chunks(stream: Any) -> Any:
    from nova_node.models.transport import Chunks

    return Chunks(stream)


def _openai_client(url: str, key: str) -> Any:
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
    from openai import AsyncOpenAI

    from nova_node.models import transport

    inner = AsyncHTTPHandler.create_async_transport()
    if inner is None:
        from httpx import AsyncHTTPTransport

        inner = AsyncHTTPTransport()
    http_client = transport.client(inner)

    class Once(AsyncOpenAI):
        """litellm's embeddings set other numbers of retries on the client they are given."""

        @property
        def max_retries(self) -> int:
            return 0

        @max_retries.setter
        def max_retries(self, _: int) -> None: ...  # pyright: ignore[reportIncompatibleVariableOverride]

    return Once(api_key=key, base_url=url, http_client=http_client)
