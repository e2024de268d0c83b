"""A stream tells each part of an answer once, whatever attempts do."""

from __future__ import annotations

import asyncio

import pytest
from nova_client.model import LogLine
from nova_console.openai.story import Diverged, Story


def hear(story: Story, text: str, attempt: int = 1, stderr: bool = False) -> None:
    story.hear(LogLine("k7q2m9xd-1", attempt, stderr, text, 1.0))


def told(story: Story) -> str:
    async def read() -> str:
        return "".join([text async for text in story.pieces()])

    return asyncio.run(read())


def test_what_was_said_is_told_and_the_result_completes_it() -> None:
    story = Story()
    hear(story, "one ")
    hear(story, "a warning", stderr=True)
    hear(story, "two")
    story.finish("one two three")
    assert told(story) == "one two three"


def test_a_later_attempt_repeats_before_it_goes_on() -> None:
    story = Story()
    hear(story, "one two")
    hear(story, "one", attempt=2)
    hear(story, "too late", attempt=1)
    hear(story, " two three", attempt=2)
    story.finish("one two three")
    assert told(story) == "one two three"


def test_an_attempt_that_said_nothing_costs_nothing() -> None:
    story = Story()
    hear(story, "other", attempt=2)
    story.finish("other")
    assert told(story) == "other"


def test_another_answer_midway_ends_the_story() -> None:
    story = Story()
    hear(story, "one two")
    hear(story, "one tea", attempt=2)
    story.finish("one tea, please")
    with pytest.raises(Diverged):
        told(story)


def test_another_answer_that_was_never_heard_ends_it_too() -> None:
    story = Story()
    hear(story, "one two")
    hear(story, "", attempt=2)
    story.finish("three")
    with pytest.raises(Diverged):
        told(story)


def test_pieces_come_as_they_are_said() -> None:
    async def scene() -> None:
        story = Story()
        pieces = story.pieces()
        for text in ("a", "b"):
            reading = asyncio.ensure_future(anext(pieces))
            await asyncio.sleep(0)
            assert not reading.done()
            hear(story, text)
            assert await reading == text
        story.close()
        assert [text async for text in pieces] == []

    asyncio.run(scene())
