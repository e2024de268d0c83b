"""Model servers of this machine come and go while a node runs, and its card follows."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import FakeProvider

from nova_node.adapters.executor_process import ProcessExecutor
from nova_node.config import load
from nova_node.models import nearby
from nova_node.models.discover import SERVERS, Server
from nova_node.models.nearby import ASK_EVERY, ASK_EVERY_MAX, MISSES_MAX, MODULES, NOTHING, Nearby

OLLAMA, LLAMA_CPP, VLLM = SERVERS


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(scene(), 30)

    asyncio.run(main())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def names(of: Nearby) -> list[str]:
    return [spec.name for spec in of.state[0]]


def lists(provider: FakeProvider) -> int:
    return sum(request.method == "GET" for request in provider.requests)


async def looks(of: Nearby, count: int) -> bool:
    """Whether one of them saw something new."""
    return any([await of.look() for _ in range(count)])


def test_a_server_that_comes_later_is_found_at_once_and_goes_when_it_is_gone() -> None:
    async def scene() -> None:
        port = free_port()
        found = Nearby((), True, [OLLAMA._replace(port=port)])
        assert not await looks(found, 5)
        with FakeProvider(["one"], port=port):
            assert await found.look()
            assert names(found) == ["one"]
            assert not await looks(found, 2 * ASK_EVERY)
        assert not await looks(found, MISSES_MAX - 1)
        assert names(found) == ["one"], "it may be starting anew"
        assert await found.look()
        assert found.state == NOTHING

    play(scene)


def test_one_that_starts_anew_stays_and_is_asked_at_once() -> None:
    async def scene() -> None:
        port = free_port()
        found = Nearby((), True, [OLLAMA._replace(port=port)])
        with FakeProvider(["one"], port=port):
            await found.look()
        assert not await looks(found, MISSES_MAX - 1)
        with FakeProvider(["one", "two"], port=port):
            assert await found.look()
            assert names(found) == ["one", "two"]

    play(scene)


def test_another_model_is_found_and_one_that_is_gone_is_left_out() -> None:
    async def scene() -> None:
        with FakeProvider(["one"]) as provider:
            found = Nearby((), True, [OLLAMA._replace(port=provider.port)])
            await found.look()
            provider.models[:] = ["two"]
            assert await looks(found, ASK_EVERY)
            assert names(found) == ["two"]
            assert lists(provider) == 2

    play(scene)


def test_another_program_is_asked_less_and_less_often() -> None:
    async def scene() -> None:
        with FakeProvider(owned_by="somebody") as provider:
            found = Nearby((), True, [VLLM._replace(port=provider.port)])
            assert not await looks(found, 3 * ASK_EVERY_MAX)
            assert lists(provider) <= 9
            assert found.state == NOTHING

    play(scene)


class Loading:
    """A server that is not ready yet: says so, or says nothing."""

    def __init__(self, status: bytes) -> None:
        self._status = status

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1) and self._status:
            writer.write(b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % self._status)
        else:
            await reader.read()
        writer.close()


@pytest.mark.parametrize("status", [b"503 Loading model", b""])
def test_one_that_loads_is_asked_at_each_look(status: bytes) -> None:
    async def scene() -> None:
        server = await asyncio.start_server(Loading(status).answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found = Nearby((), True, [LLAMA_CPP._replace(port=port)])
        assert not await looks(found, 2)
        server.close()
        await server.wait_closed()
        with FakeProvider(["one"], port=port, owned_by="llamacpp"):
            assert await found.look()
            assert names(found) == ["one"]

    play(scene)


def test_one_too_busy_to_answer_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        with FakeProvider(["one"]) as provider:
            found = Nearby((), True, [OLLAMA._replace(port=provider.port)])
            await found.look()

            def busy(server: Server) -> None:
                raise nearby.Busy

            monkeypatch.setattr(nearby, "ask", busy)
            assert not await looks(found, 5 * ASK_EVERY)
            assert names(found) == ["one"]

    play(scene)


def test_a_node_short_of_files_takes_nobody_for_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        with FakeProvider(["one"]) as provider:
            found = Nearby((), True, [OLLAMA._replace(port=provider.port)])
            await found.look()

            async def connect(*args: Any) -> Any:
                raise OSError(errno.EMFILE, "too many open files")

            monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", connect)
            assert not await looks(found, 2 * MISSES_MAX)
            monkeypatch.undo()

    play(scene)


def test_a_named_server_of_this_machine_goes_and_comes_and_no_other_is_looked_at() -> None:
    async def scene() -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}/v1"
        found = Nearby([f"mine,url={url}", "far,url=http://models.example/v1", "gpt-4o"], False)
        assert not await looks(found, MISSES_MAX - 1)
        assert await found.look()
        assert found.state == ((), frozenset([url]))
        with FakeProvider(port=port) as provider:
            assert await found.look()
            assert found.state == NOTHING
            assert not provider.requests

    play(scene)


def test_a_node_with_nothing_to_look_at_does_not() -> None:
    assert Nearby(["gpt-4o", "far,url=https://models.example/v1"], False).is_idle
    assert not Nearby([], True).is_idle


def test_what_was_seen_is_what_is_offered(tmp_path: Path) -> None:
    """By a worker process that is told, and looks at nothing itself."""

    async def scene() -> None:
        with FakeProvider(["one"]) as provider:
            uses = [f"mine,url={provider.url}", "far,url=https://models.example/v1"]
            settings = {"models.use": uses, "models.discover": False, "data_dir": str(tmp_path)}
            told = load(settings, {}).config.work.told
            runs = ProcessExecutor(str(tmp_path / "spool"), str, _keep, settings=told)
            before, _ = await runs.describe()
            assert [model.name for model in runs.models] == ["mine", "far"]

            port = free_port()
            found = Nearby([f"mine,url=http://127.0.0.1:{port}/v1"], True, [_at(provider)])
            await looks(found, MISSES_MAX)
            gone = {"silent": [provider.url], "found": found.told["models.nearby"]["found"]}
            after, _ = await runs.describe(MODULES, {"models.nearby": gone})
            assert [model.name for model in runs.models] == ["far", "one"]
            assert {card.name for card in after} == {card.name for card in before}
            (chat,) = [card for card in after if card.name == "llm.chat"]
            assert ("model.one", "yes") in chat.labels
            assert ("model.mine", "yes") not in chat.labels

            none: dict[str, Any] = {"models.nearby": {"silent": [], "found": []}, "models.use": []}
            after, _ = await runs.describe(MODULES, none)
            assert not any(card.name.startswith("llm.ch") for card in after)
            assert "core.noop" in {card.name for card in after}

    play(scene)


def _at(provider: FakeProvider) -> Server:
    return OLLAMA._replace(port=provider.port)


def _keep(*args: Any) -> Any:
    raise AssertionError(args)
