"""A runner that was taken over: whatever it sends, nothing leaves the folder, and no cap is passed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_sandbox import frames
from nova_sandbox.events import Event, File, Finished, Output, Status
from nova_sandbox.frames import Frame, Violation
from nova_sandbox.intake import Intake, is_safe
from nova_sandbox.limits import Limits

NONCE = b"n" * 16
LIMITS = Limits(output_bytes=1024, files_bytes=1000, files=2, result_bytes=1024)
ENDING: dict[str, Any] = {
    "status": "ok",
    "message": "",
    "traceback": "",
    "exit_code": 0,
    "wall_s": 0.1,
    "cpu_s": 0.1,
    "peak_bytes": 1,
}


def frame(kind: bytes, payload: bytes | dict[str, Any]) -> Frame:
    data = json.dumps(payload).encode() if isinstance(payload, dict) else payload
    return Frame(NONCE, kind, data)


def named(name: str, size: int) -> Frame:
    return frame(frames.NAME, {"name": name, "size": size})


def end(**changes: object) -> Frame:
    return frame(frames.FINISHED, {**ENDING, **changes})


def fed(*sent: Frame) -> list[Event]:
    intake = Intake(NONCE, LIMITS)
    return [event for one in sent for event in intake.feed(one)]


def test_an_honest_run() -> None:
    events = fed(
        frame(frames.STDOUT, b"out"),
        frame(frames.STDERR, b"err"),
        named("a/b.txt", 5),
        frame(frames.DATA, b"12"),
        frame(frames.DATA, b"345"),
        named("empty", 0),
        frame(frames.RESULT, b'{"a":'),
        frame(frames.RESULT, b"1}"),
        end(),
    )
    assert events[:4] == [
        Output("stdout", b"out"),
        Output("stderr", b"err"),
        File("a/b.txt", b"12345"),
        File("empty", b""),
    ]
    last = events[-1]
    assert isinstance(last, Finished)
    assert (last.status, last.result) == (Status.OK, '{"a":1}')


@pytest.mark.parametrize(
    "sent",
    [
        (Frame(b"x" * 16, frames.STDOUT, b"forged"),),
        (Frame(bytes(16), frames.FINISHED, json.dumps(ENDING).encode()),),
        (frame(frames.READY, {}),),
        (frame(frames.STDOUT, b"x" * 1025),),
        (frame(frames.STDOUT, b"x" * 600), frame(frames.STDERR, b"x" * 600)),
        (frame(frames.DATA, b"no file"),),
        (named("a", 1), frame(frames.DATA, b"12")),
        (named("a", 1), end()),
        (named("a", 1), frame(frames.DATA, b"")),
        (named("a", 2), frame(frames.DATA, b"1"), named("b", 0)),
        (named("a", 1001),),
        (named("a", 0), named("a", 0)),
        (named("a", 0), named("b", 0), named("c", 0)),
        (named("a", -1),),
        (frame(frames.NAME, {"name": "a", "size": True}),),
        (frame(frames.NAME, {"name": 7, "size": 1}),),
        (frame(frames.NAME, {"size": 1}),),
        (frame(frames.RESULT, b"x" * 1025),),
        (frame(frames.RESULT, b"no json"), end()),
        (frame(frames.RESULT, b"[" * 1000), end()),
        (frame(frames.RESULT, b"\xff"), end()),
        (end(status="splendid"),),
        (end(exit_code="0"),),
        (end(wall_s="long"),),
        (end(peak_bytes=float("inf")),),
        (frame(frames.FINISHED, {"status": "ok"}),),
        (end(), frame(frames.STDOUT, b"after the end")),
        (end(), end()),
    ],
)
def test_a_dishonest_one_is_refused(sent: tuple[Frame, ...]) -> None:
    with pytest.raises(Violation):
        fed(*sent)


@pytest.mark.parametrize("status", ["refused", "output_cap", "timeout", "out_of_memory"])
def test_files_count_only_with_an_ending_that_lets_them(status: str) -> None:
    events = fed(named("a", 1), frame(frames.DATA, b"1"), end(status=status))
    assert [type(event) for event in events] == [Finished]


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "/etc/passwd", "a/../../b", "a//b", "a/", "./a", "a/./b", "a\\..\\b"),
        *("a\0b", "a\nb", "\x1b[2J", "a\u202eb", "\ud800", "x" * 501),
    ],
)
def test_names_that_are_not_taken(name: str) -> None:
    assert not is_safe(name)
    with pytest.raises(Violation):
        fed(named(name, 0))


@pytest.mark.parametrize("name", ["a", "a b.txt", "deep/er/file", "...", "..a", "größe.json"])
def test_names_that_are(name: str) -> None:
    assert is_safe(name)


@given(st.sampled_from(sorted(frames.KINDS)), st.binary(max_size=200))
def test_any_frame_is_an_event_or_a_violation(kind: bytes, payload: bytes) -> None:
    with suppress(Violation):
        fed(Frame(NONCE, kind, payload))
