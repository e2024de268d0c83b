"""The `openai` package against one node of a mesh, where another has the model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from nova_client import Status
from openai import APIStatusError, AsyncOpenAI, NotFoundError, RateLimitError
from openai.types.chat import ChatCompletionMessageParam
from support.fake_provider import Fail, FakeProvider, Hang, Say
from support.mesh import Mesh, Node, met, run, wait_for

ASKS: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
FRESH = {"nova": {"fresh": True}}
"""What other tests were answered will not do."""

ADDRESS = re.compile(r"the models of this mesh: (http://\S+)")


class World:
    """`front` has the endpoint, `back` the model."""

    def __init__(self, mesh: Mesh, provider: FakeProvider) -> None:
        self.mesh = mesh
        self.provider = provider
        plain = ("--no-mdns", "--slots", "1", "--set", "models.discover=no")
        model = f"fake,url={provider.url},price_in=1,price_out=2"
        vectors = f"vectors,url={provider.url},kind=embed"
        self.front = mesh.start("front", *plain, "--openai", "127.0.0.1:0")
        peer = ("--peer", self.front.address)
        self.back = mesh.start("back", *plain, *peer, "--model", model, "--model", vectors)

    @property
    def url(self) -> str:
        found = wait_for(lambda: ADDRESS.search(self.front.said()), "the endpoint's address")
        return found[1]

    def client(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=self.url, api_key="any", max_retries=0, timeout=60)

    async def ready(self) -> None:
        async with self.front.client() as client:
            await met(client, 2)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("openai")
    with FakeProvider(("fake", "vectors")) as provider, Mesh(folder) as mesh:
        world = World(mesh, provider)
        run(world.ready())
        yield world


@pytest.fixture(autouse=True)
def _plain(world: World) -> None:
    world.provider.otherwise = lambda request: Say("This is what a model says.")


def test_answers_streams_and_vectors_come_from_the_other_node(world: World) -> None:
    async def scene() -> None:
        async with world.client() as openai:
            names = [model.id async for model in openai.models.list()]
            assert {"fake", "vectors", "cheapest"} <= set(names)
            whole = await openai.chat.completions.create(
                model="fake", messages=ASKS, extra_body=FRESH
            )
            assert whole.choices[0].message.content == "This is what a model says."
            assert whole.usage is not None
            assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (10, 5)
            stream = await openai.chat.completions.create(
                model="cheapest",
                messages=ASKS,
                stream=True,
                stream_options={"include_usage": True},
            )
            chunks = [chunk async for chunk in stream]
            pieces = [c.choices[0].delta.content or "" for c in chunks if c.choices]
            assert "".join(pieces) == "This is what a model says."
            assert chunks[-1].usage is not None
            assert chunks[-2].choices[0].finish_reason == "stop"
            found = await openai.embeddings.create(model="vectors", input=["a", "b"])
            assert len(found.data) == 2
            assert len(found.data[0].embedding) > 1

    run(scene())


def test_the_first_word_comes_before_the_last_is_said(world: World) -> None:
    async def scene() -> None:
        world.provider.otherwise = lambda request: Hang("Hello")
        async with world.client() as openai:
            stream = await openai.chat.completions.create(
                model="fake", messages=ASKS, stream=True, extra_body=FRESH
            )
            first = await anext(aiter(stream))
            assert first.choices[0].delta.content == "Hello"
            await stream.close()

    run(scene())


def test_tools_and_forms_are_passed_on(world: World) -> None:
    async def scene() -> None:
        world.provider.otherwise = lambda request: Say(tools=(("look", {"where": "up"}),))
        async with world.client() as openai:
            whole = await openai.chat.completions.create(
                model="fake",
                messages=ASKS,
                tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}],
            )
            calls = whole.choices[0].message.tool_calls
            assert calls is not None
            call = calls[0]
            assert call.type == "function"
            assert (call.function.name, call.function.arguments) == ("look", '{"where": "up"}')
            assert whole.choices[0].finish_reason == "tool_calls"

    run(scene())


def test_a_rate_limit_is_waited_for_and_told_when_it_lasts(world: World) -> None:
    async def scene() -> None:
        async with world.client() as openai:
            world.provider.script(Fail(429, retry_after_s=0.2))
            whole = await openai.chat.completions.create(
                model="fake", messages=ASKS, extra_body=FRESH
            )
            assert whole.choices[0].message.content
            world.provider.otherwise = lambda request: Fail(429, retry_after_s=0.2)
            with pytest.raises(RateLimitError) as caught:
                await openai.chat.completions.create(
                    model="fake", messages=ASKS, stream=True, extra_body=FRESH
                )
            assert caught.value.response.headers["retry-after"] == "1"
            assert caught.value.code == "model_rate_limited"

    run(scene())


def test_what_is_wrong_has_the_status_that_the_package_knows(world: World) -> None:
    async def scene() -> None:
        async with world.client() as openai:
            with pytest.raises(NotFoundError, match="did you mean fake"):
                await openai.chat.completions.create(model="fakes", messages=ASKS)
            world.provider.otherwise = lambda request: Fail(400)
            with pytest.raises(APIStatusError) as caught:
                await openai.chat.completions.create(model="fake", messages=ASKS, extra_body=FRESH)
            assert caught.value.status_code == 400

    run(scene())


def test_a_request_that_failed_is_no_dead_letter(world: World) -> None:
    """Whoever asked was told: nobody has to decide on it any more, or pay for it again."""
    world.provider.script(Fail(400, "no"))

    async def main() -> None:
        async with world.client() as openai, world.front.client() as client:
            with pytest.raises(APIStatusError):
                await openai.chat.completions.create(model="fake", messages=ASKS, extra_body=FRESH)
            failed = await client.list_tasks(statuses=[Status.FAILED])
            assert failed.total
            letters = await client.list_tasks(statuses=[Status.FAILED], journaled=True)
            assert (letters.tasks, letters.total) == ((), 0)

    run(main())
    assert "no task matches" in world.mesh.nova("tasks", "--dead", node=world.front).stderr
    requeued = world.mesh.nova("requeue", "--all", node=world.front)
    assert "no dead letters" in requeued.stderr


def test_whoever_leaves_stops_the_model(world: World) -> None:
    async def scene() -> None:
        before = len(world.provider.asked)
        world.provider.otherwise = lambda request: Hang("Hello")
        async with world.client() as openai:
            stream = await openai.chat.completions.create(
                model="fake", messages=ASKS, stream=True, extra_body=FRESH
            )
            await anext(aiter(stream))
            await stream.close()
        request = world.provider.asked[before]
        assert await asyncio.to_thread(request.gone.wait, 10)

    run(scene())


def test_many_at_once(world: World) -> None:
    async def scene() -> None:
        world.provider.otherwise = lambda request: Say(request.prompt, delay_s=0.02)

        async def ask(number: int) -> str:
            text = f"one two three {number}"
            stream = await openai.chat.completions.create(
                model="fake", messages=[{"role": "user", "content": text}], stream=True
            )
            said = [c.choices[0].delta.content or "" async for c in stream if c.choices]
            return "".join(said).removeprefix("one two three ")

        async with world.client() as openai:
            numbers = await asyncio.gather(*map(ask, range(32)))
        assert numbers == [str(n) for n in range(32)]

    run(scene())


def endpoint_of(node: Node) -> psutil.Process:
    (found,) = [
        each for each in psutil.Process(node.pid).children() if "nova_console.cli" in each.cmdline()
    ]
    return found


def test_it_comes_back_when_it_dies_and_goes_with_its_node(mesh: Mesh) -> None:
    node = mesh.start("lone", "--no-mdns", "--slots", "0", "--openai", "127.0.0.1:0")
    wait_for(lambda: ADDRESS.search(node.said()), "the endpoint")
    first = endpoint_of(node)
    first.kill()
    wait_for(lambda: len(ADDRESS.findall(node.said())) == 2, "another endpoint")
    second = endpoint_of(node)
    assert second.pid != first.pid
    node.kill()
    wait_for(lambda: not second.is_running() or second.status() == "zombie", "its end")
