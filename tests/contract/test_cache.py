"""Answers given before, over litellm and a provider whose requests are counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import Fail, FakeProvider, Request, Say
from support.models import FakeAttempt, call, models

from nova_node.capabilities.llm import chat
from nova_node.capability import Usage, attempt_of
from nova_node.models import memory
from nova_node.models.failing import ModelFailed

# litellm's own use of pydantic
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the:DeprecationWarning")

PRICED = ",price_in=1,price_out=2"
HI = {"prompt": "What is the capital of Fooland?"}


class Host:
    """A node's host, with one model and one that makes vectors; `by` runs calls as a person."""

    def __init__(self, folder: Path, provider: FakeProvider, **settings: Any) -> None:
        self.provider = provider
        self.uses = [
            f"fake,url={provider.url}{PRICED}",
            f"other,url={provider.url}{PRICED}",
            f"embed,url={provider.url},kind=embed",
        ]
        self.settings: dict[str, Any] = {"data_dir": str(folder), **settings}
        self._tasks = 0

    def by(self, person: str, *asks: dict[str, Any], **how: Any) -> tuple[Any, FakeAttempt]:
        """What the last came to; each is a task of its own unless `task_id` is given."""
        attempt, result = FakeAttempt(), None

        async def main() -> Any:
            nonlocal attempt, result
            for ask in asks:
                self._tasks += 1
                about = {"task_id": f"k7q2m9xd-{self._tasks}", **how}
                attempt = replace(FakeAttempt(submitter=person), **about)
                with attempt_of(attempt):
                    try:
                        args: dict[str, Any] = {"model": "fake", **ask}
                        result = await chat(**args)
                    except ModelFailed as failure:
                        result = failure

        with models(self.uses, 10.0, **self.settings):
            call(main())
        return result, attempt

    @property
    def asked(self) -> int:
        return sum(each.path == "/v1/chat/completions" for each in self.provider.asked)

    @property
    def embedded(self) -> int:
        return sum(each.path == "/v1/embeddings" for each in self.provider.asked)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def host(tmp_path: Path, provider: FakeProvider) -> Iterator[Host]:
    yield Host(tmp_path, provider)
    memory.forget_all()


@pytest.fixture
def meaning(tmp_path: Path, provider: FakeProvider) -> Iterator[Host]:
    """Finds like questions too: those whose words are nearly all the same."""
    provider.vector = bag_of_words
    yield Host(tmp_path, provider, **{"models.cache_embed": "embed"})
    memory.forget_all()


def bag_of_words(text: str) -> list[float]:
    vector = [0.01] * 64
    for word in text.lower().replace("?", "").split():
        vector[sum(word.encode()) % 64] += 1.0
    return vector


def test_the_same_question_is_asked_once_and_costs_nothing_then(
    host: Host, provider: FakeProvider
) -> None:
    provider.script(Say("Foo City", (7, 3)))
    first, _ = host.by("submitter/ada", HI)
    assert (first["text"], first["cache"], first["cost_usd"]) == ("Foo City", "miss", 13e-6)
    again, attempt = host.by("submitter/ada", HI)
    assert (again["text"], again["cache"], again["cost_usd"]) == ("Foo City", "exact", 0)
    assert again["usage"] == {"input_tokens": 0, "output_tokens": 0, "cached_tokens": 0}
    assert attempt.used == Usage("fake", 0, 0, 0, "exact")
    assert attempt.said == ["Foo City"]
    assert host.asked == 1


OTHER: dict[str, dict[str, Any]] = {
    "model": {"model": "other"},
    "system text": {"system": "be brief"},
    "words": {"prompt": "What is the capital of Barland?"},
    "bound": {"max_tokens": 7},
    "temperature": {"temperature": 0.0},
    "seed": {"seed": 3},
    "messages before": {"messages": [{"role": "user", "content": "hello"}]},
    "tools": {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]},
    "stop": {"stop": ["x"]},
}


@pytest.mark.parametrize("what", OTHER)
def test_another_question_is_another(meaning: Host, what: str) -> None:
    meaning.by("submitter/ada", HI)
    result, _ = meaning.by("submitter/ada", {**HI, **OTHER[what]})
    assert meaning.asked == (1 if what == "seed" else 2), result["cache"]


def test_another_person_asks_anew(meaning: Host) -> None:
    meaning.by("submitter/ada", HI)
    result, _ = meaning.by("submitter/bob", HI)
    assert (result["cache"], meaning.asked) == ("miss", 2)


def test_fresh_does_not_read_and_still_writes(host: Host, provider: FakeProvider) -> None:
    provider.script(Say("old"), Say("new"))
    host.by("", HI)
    fresh, _ = host.by("", {**HI, "fresh": True})
    assert (fresh["text"], fresh["cache"]) == ("new", "")
    assert host.by("", HI)[0]["text"] == "new"
    assert host.asked == 2


def test_chance_is_another_answer_each_time_unless_it_has_a_seed(host: Host) -> None:
    warm = {**HI, "temperature": 0.8}
    assert [host.by("", warm)[0]["cache"] for _ in range(2)] == ["", ""]
    seeded = {**warm, "seed": 1}
    assert [host.by("", seeded)[0]["cache"] for _ in range(2)] == ["miss", "exact"]
    assert host.asked == 3


def test_a_task_that_is_tried_again_asks_nobody(host: Host, provider: FakeProvider) -> None:
    """Whatever it wishes for."""
    ask = {**HI, "temperature": 0.8, "fresh": True}
    provider.script(Say("once"), Say("twice"))
    host.by("", ask, task_id="k7q2m9xd-9")
    again, attempt = host.by("", ask, task_id="k7q2m9xd-9")
    assert (again["text"], again["cache"], host.asked) == ("once", "recorded", 1)
    assert attempt.used.spent_uusd == 0
    other, _ = host.by("", ask, task_id="k7q2m9xd-10")
    assert other["text"] == "twice"
    mine, _ = host.by("submitter/bob", ask, task_id="k7q2m9xd-9")
    assert mine["cache"] == ""


def test_nothing_of_a_sensitive_task_is_kept_or_read(
    meaning: Host, tmp_path: Path, provider: FakeProvider
) -> None:
    provider.script(Say("canary-4711"))
    for _ in range(2):
        result, _ = meaning.by("", HI, sensitive=True, task_id="k7q2m9xd-9")
        assert result["cache"] == ""
    assert (meaning.asked, meaning.embedded) == (2, 0)
    meaning.by("", HI)
    result, _ = meaning.by("", HI, sensitive=True)
    assert (result["cache"], meaning.asked) == ("", 4)
    memory.forget_all()
    assert b"canary-4711" not in b"".join(f.read_bytes() for f in tmp_path.iterdir())


def test_a_like_question_gets_the_answer_and_is_told_so(
    meaning: Host, provider: FakeProvider
) -> None:
    provider.script(Say(""), Say("Foo City"))  # the first step is the vector's
    long = "Tell me please what is the name of the capital of the country of Fooland"
    meaning.by("", {"prompt": long})
    like, attempt = meaning.by("", {"prompt": f"{long} ?"})
    assert like["text"] == "Foo City"
    assert like["cache"] == "semantic 1.00"
    assert attempt.used == Usage("fake", 0, 0, 0, "semantic 1.00")
    unlike, _ = meaning.by("", {"prompt": "How tall is a giraffe?"})
    assert (unlike["cache"], meaning.asked) == ("miss", 2)


def test_other_numbers_are_another_question(meaning: Host) -> None:
    """Embedding models hardly see them."""
    text = "Multiply these numbers for me and tell me what comes out of it as one line: {} and 7"
    meaning.by("", {"prompt": text.format(12)})
    result, _ = meaning.by("", {"prompt": text.format(13)})
    assert (result["cache"], meaning.asked) == ("miss", 2)
    result, _ = meaning.by("", {"prompt": text.format(12) + "?"})
    assert result["cache"].startswith("semantic")


def test_a_bar_that_is_higher_is_kept(tmp_path: Path, provider: FakeProvider) -> None:
    provider.vector = bag_of_words
    settings = {"models.cache_embed": "embed", "models.cache_similarity": 0.999}
    host = Host(tmp_path, provider, **settings)
    long = "Tell me please what is the name of the capital of the country of Fooland"
    host.by("", {"prompt": long}, {"prompt": f"{long} now"})
    memory.forget_all()
    assert host.asked == 2


def test_an_embedding_model_that_says_nothing_costs_nothing_but_itself(
    meaning: Host, provider: FakeProvider
) -> None:
    provider.vector = lambda text: []
    result, _ = meaning.by("", HI)
    assert (result["cache"], meaning.asked) == ("miss", 1)
    assert meaning.by("", HI)[0]["cache"] == "exact"


def test_what_is_old_is_asked_again(tmp_path: Path, provider: FakeProvider) -> None:
    host = Host(tmp_path, provider, **{"models.cache_ttl_s": 1e-6})
    assert [host.by("", HI)[0]["cache"] for _ in range(2)] == ["miss", "miss"]
    off = Host(tmp_path / "off", provider, **{"models.cache_ttl_s": 0.0})
    assert off.by("", HI, HI)[0]["cache"] == ""
    memory.forget_all()


@pytest.mark.parametrize("step", [Say("cut", finish="length"), Say(""), Fail(500)])
def test_what_is_no_whole_answer_is_not_kept(
    host: Host, provider: FakeProvider, step: Say | Fail
) -> None:
    provider.script(step, Say("whole"))
    host.by("", HI)
    result, _ = host.by("", HI)
    assert (result["text"], result["cache"]) == ("whole", "miss")


def test_tools_and_forms_come_back_as_they_were(host: Host, provider: FakeProvider) -> None:
    form = {"type": "object", "required": ["a"]}
    provider.script(Say('{"a": 1}'), Say("", tools=(("f", {"x": 2}),)))
    first, _ = host.by("", {**HI, "json_schema": form})
    again, _ = host.by("", {**HI, "json_schema": form})
    assert again["parsed"] == first["parsed"] == {"a": 1}
    tools: list[Any] = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    first, _ = host.by("", {**HI, "tools": tools})
    again, _ = host.by("", {**HI, "tools": tools})
    assert (again["tool_calls"], again["cache"]) == (first["tool_calls"], "exact")
    assert host.asked == 2


def test_what_stands_aside_reaches_the_model_and_changes_no_key(
    host: Host, provider: FakeProvider
) -> None:
    host.by("", {**HI, "system": "s", "aside": "a hint"}, {**HI, "system": "s", "aside": "two"})
    assert host.asked == 1
    sent: Request = provider.asked[0]
    assert [m["content"] for m in sent.body["messages"]] == ["s", "a hint", HI["prompt"]]


def test_a_prompt_is_kept_as_a_digest_alone(host: Host, tmp_path: Path) -> None:
    host.by("", {"prompt": "canary-0815"})
    memory.forget_all()
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert b"This is what a model says." in kept
    assert b"canary-0815" not in kept


def test_a_cache_that_cannot_be_written_is_no_failure(
    tmp_path: Path, provider: FakeProvider
) -> None:
    host = Host(tmp_path / "nowhere", provider)
    results: list[Any] = []
    for _ in range(2):
        results.append(host.by("", HI)[0])
        memory.forget_all()
    assert [each["cache"] for each in results] == ["miss", "miss"]
