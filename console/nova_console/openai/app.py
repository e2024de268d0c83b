"""The endpoint itself: requests of HTTP become tasks, their text becomes a stream.

Rule: a request is one task, and the task ends with it. A client that leaves cancels what it asked; an
error before the first word has its HTTP status, one after it is an event of the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from aiohttp import web
from nova_client import NovaError
from nova_client.model import SubmitOptions
from nova_client.models import Choice

from nova_console.openai import replies
from nova_console.openai.guard import complaint
from nova_console.openai.mesh import Mesh, Offers, Running
from nova_console.openai.problems import Problem, problem_of
from nova_console.openai.replies import Reply
from nova_console.openai.requests import Chat, read_chat, read_embed
from nova_console.openai.story import Story

BODY_MAX_BYTES = 14 << 20
AT_ONCE_MAX = 256
STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """`key` "" asks for none; `timeout_s` is how long a request may take, all its attempts."""

    def __init__(
        self,
        mesh: Mesh,
        *,
        key: str = "",
        loopback: bool = True,
        local_only: bool = False,
        timeout_s: float = 600.0,
    ) -> None:
        self._mesh = mesh
        self._offers = Offers(mesh)
        self._key = key
        self._loopback = loopback
        self._local_only = local_only
        self._timeout_s = timeout_s
        self._at_once = 0
        self._ending: set[asyncio.Future[Any]] = set()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._entrance], client_max_size=BODY_MAX_BYTES)
        app.add_routes(
            [
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/embeddings", self._embed),
            ]
        )
        app.on_cleanup.append(self._finish)
        return app

    async def _finish(self, _: web.Application) -> None:
        """Tasks of clients that have left are cancelled before the endpoint is gone."""
        if self._ending:
            await asyncio.wait(self._ending, timeout=5.0)

    @web.middleware
    async def _entrance(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        wrong = complaint(
            request.headers,
            key=self._key,
            loopback=self._loopback,
            has_body=request.method == "POST",
        )
        if wrong is None and self._at_once >= AT_ONCE_MAX:
            wrong = Problem(
                429, "overloaded", f"{AT_ONCE_MAX} requests are open", "ask again later", 1.0
            )
        if wrong is not None:
            return _refusal(wrong)
        self._at_once += 1
        try:
            return await handler(request)
        except NovaError as error:
            return _refusal(problem_of(error))
        except web.HTTPException as error:
            return _refusal(Problem(error.status, "invalid_argument", f"{error.reason}"))
        finally:
            self._at_once -= 1

    # ------------------------------------------------------------ what is asked

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response(replies.models(await self._offers.all()))

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = read_chat(await request.read())
        needs = replace(asked.needs, local_only=asked.needs.local_only or self._local_only)
        choice = await self._offers.choose(asked.want, needs)
        args = {**asked.args, "models": choice.models, "local_only": needs.local_only}
        story, created = Story(), time.time()
        options = self._options(choice)
        if asked.allowance_uusd:
            options["allowance_uusd"] = asked.allowance_uusd
        task = await self._submit("llm.chat", args, story, options)
        reply = Reply(task.id, choice.models[0], created)
        try:
            if asked.stream:
                return await self._stream(request, task, story, reply, asked)
            result = await task.result()
        except NovaError as error:
            return _refusal(problem_of(error, task.outcome))
        finally:
            self._end(task)
        return web.json_response(reply.whole(result))

    async def _embed(self, request: web.Request) -> web.Response:
        asked = read_embed(await request.read())
        needs = replace(asked.needs, local_only=asked.needs.local_only or self._local_only)
        choice = await self._offers.choose(asked.want, needs)
        # one model throughout: vectors of two do not compare
        choice = Choice(choice.models[:1], choice.prefers[:1], choice.labels)
        args = {"texts": asked.texts, "model": choice.models[0]}
        task = await self._submit("llm.embed", args, None, self._options(choice))
        try:
            result = await task.result()
        except NovaError as error:
            return _refusal(problem_of(error, task.outcome))
        finally:
            self._end(task)
        return web.json_response(replies.embeddings(result, asked.as_base64))

    def _options(self, choice: Choice) -> SubmitOptions:
        return {
            "durability": "volatile",
            "prefers": choice.prefers,
            "labels": choice.labels,
            "deadline_s": self._timeout_s,
        }

    # ------------------------------------------------------------ one task

    async def _submit(
        self,
        capability: str,
        args: Mapping[str, Any],
        story: Story | None,
        options: SubmitOptions,
    ) -> Running:
        """A client that leaves while its task is handed in still ends it."""
        hear = story.hear if story else None
        submitting = asyncio.ensure_future(
            self._mesh.submit(capability, args, hear=hear, **options)
        )
        try:
            return await asyncio.shield(submitting)
        except asyncio.CancelledError:
            submitting.add_done_callback(self._end_submitted)
            raise

    def _end_submitted(self, submitting: asyncio.Future[Running]) -> None:
        if not submitting.cancelled() and submitting.exception() is None:
            self._end(submitting.result())

    def _end(self, task: Running) -> None:
        if not task.done:
            ending = asyncio.ensure_future(_cancel(task))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def _stream(
        self, request: web.Request, task: Running, story: Story, reply: Reply, asked: Chat
    ) -> web.StreamResponse:
        """Raises NovaError while nothing was sent."""
        response = web.StreamResponse(headers=STREAM_HEADERS)
        result = asyncio.ensure_future(_result(task, story))
        try:
            async for text in story.pieces():
                first = not response.prepared
                if first:
                    await response.prepare(request)
                await response.write(reply.piece(text, first))
            ended = await result
            first = not response.prepared
            if first:
                await response.prepare(request)
            await response.write(reply.last(ended, first, asked.include_usage))
        except NovaError as error:
            if not response.prepared:
                raise
            with contextlib.suppress(ConnectionError):
                await response.write(replies.event(problem_of(error, task.outcome).body))
        except ConnectionError:
            pass  # the client has left
        finally:
            result.cancel()
            await asyncio.gather(result, return_exceptions=True)
        return response


async def _result(task: Running, story: Story) -> Any:
    try:
        result = await task.result()
        story.finish(result["text"])
    finally:
        story.close()
    return result


async def _cancel(task: Running) -> None:
    with contextlib.suppress(NovaError):
        await task.cancel()


def _refusal(problem: Problem) -> web.Response:
    return web.json_response(problem.body, status=problem.status, headers=problem.headers)
