"""A node's card follows what its models turn out to be."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, cast

import pytest

from nova_node import describing
from nova_node.config import load
from nova_node.core.model import Capability, Card, Model
from nova_node.describing import Describing

MODELS = [Model("one", input_uusd_per_mtok=5), Model("two")]


class FakeExecutor:
    models = MODELS
    withheld = False

    async def describe(
        self, changed: Collection[str], settings: Mapping[str, object]
    ) -> tuple[list[Capability], list[str]]:
        return [Capability("llm.chat", labels=(("models.local", "yes"),))], ["a warning"]


def make() -> Describing:
    work = load({"labels": ["zone=b"]}, {}).config.work
    return Describing("node-id", work, cast(Any, FakeExecutor()))


def test_a_card_says_labels_and_models() -> None:
    card = asyncio.run(make().describe())
    assert card.labels == (("models.local", "yes"), ("zone", "b"))
    assert card.models == tuple(MODELS)
    assert card.warnings == ("a warning",)
    assert card.card_version


def test_servers_that_come_and_go_renew_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after a time when no process could be started."""
    monkeypatch.setattr(describing, "LOOK_MIN_S", 0.001)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    settings = {"models.use": [f"one,url={url}"], "models.discover": False, "models.look_s": 0.001}
    asked: list[Mapping[str, Any]] = []

    class Executor(FakeExecutor):
        models: ClassVar[list[Model]] = []

        async def describe(self, changed: Collection[str], settings: Mapping[str, Any]) -> Any:
            asked.append(settings)
            if len(asked) == 1:
                raise OSError("no process left")
            return await super().describe(changed, settings)

    async def main() -> Card:
        published: asyncio.Future[Card] = asyncio.get_running_loop().create_future()
        work = load(settings, {}).config.work
        keeper = Describing("node-id", work, cast(Any, Executor()))
        following = asyncio.create_task(keeper.follow_servers(published.set_result))
        card = await asyncio.wait_for(published, 20)
        following.cancel()
        return card

    assert asyncio.run(main()).models == ()
    assert asked == [{"models.nearby": {"found": [], "silent": [url]}}] * 2


def test_measured_figures_renew_it_and_not_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(describing, "MEASURED_EVERY_S", 3600.0)

    async def main() -> list[Card]:
        cards: list[Card] = []
        published = asyncio.Event()

        def publish(card: Card) -> None:
            cards.append(card)
            published.set()

        keeper = make()
        first = await keeper.describe()
        following = asyncio.create_task(keeper.follow_models(publish))
        keeper.hear([("one", 120.0, 30.0)])
        await published.wait()
        keeper.hear([("two", 1.0, 2.0)])
        for _ in range(5):
            await asyncio.sleep(0)
        following.cancel()
        assert cards[0].card_version != first.card_version
        return cards

    (card,) = asyncio.run(main())
    assert [(m.name, m.ttft_ms, m.tokens_per_s) for m in card.models] == [
        ("one", 120.0, 30.0),
        ("two", 0.0, 0.0),
    ]
    assert card.models[0].input_uusd_per_mtok == 5
