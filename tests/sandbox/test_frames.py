"""Bytes from a container, whole or in pieces, honest or not."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nova_sandbox import frames
from nova_sandbox.frames import HEAD, MUX, FrameReader, MuxReader, Violation, encode_request
from nova_sandbox.limits import Limits
from nova_sandbox.request import Request

NONCE = bytes(range(16))
KINDS = st.sampled_from(sorted(frames.KINDS))


def encoded(kind: bytes, payload: bytes) -> bytes:
    return HEAD.pack(len(payload), NONCE, kind) + payload


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(c % (len(data) + 1) for c in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(st.tuples(KINDS, st.binary(max_size=300)), max_size=8), st.lists(st.integers(0)))
def test_frames_survive_any_cut(sent: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    reader = FrameReader()
    data = b"".join(encoded(kind, payload) for kind, payload in sent)
    got = [frame for piece in pieces(data, cuts) for frame in reader.feed(piece)]
    assert [(f.kind, f.payload) for f in got] == sent
    assert all(f.nonce == NONCE for f in got)


@given(st.lists(st.tuples(st.integers(1, 2), st.binary(max_size=200))), st.lists(st.integers(0)))
def test_the_engines_header_is_taken_off(sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
    reader = MuxReader()
    data = b"".join(MUX.pack(stream, len(payload)) + payload for stream, payload in sent)
    got = b"".join(p for piece in pieces(data, cuts) for p in reader.feed(piece))
    assert got == b"".join(payload for stream, payload in sent if stream == 1)
    complaint = b"".join(payload for stream, payload in sent if stream == 2)
    assert reader.complaint == complaint[: frames.MAX_COMPLAINT_BYTES]


@given(st.binary(max_size=400))
def test_garbage_is_a_violation_or_waits(data: bytes) -> None:
    for reader in (FrameReader(), MuxReader()):
        with suppress(Violation):
            list(reader.feed(data))


@pytest.mark.parametrize(
    "data",
    [
        HEAD.pack(frames.MAX_PAYLOAD_BYTES + 1, NONCE, b"O"),
        HEAD.pack(1 << 31, NONCE, b"S"),
        HEAD.pack(1, NONCE, b"?"),
        HEAD.pack(1, NONCE, b"R"),
    ],
)
def test_an_impossible_frame_is_refused_before_it_is_kept(data: bytes) -> None:
    with pytest.raises(Violation):
        list(FrameReader().feed(data))


@pytest.mark.parametrize("data", [MUX.pack(1, 1 << 30), MUX.pack(0, 1), MUX.pack(7, 1)])
def test_an_impossible_piece_of_the_engine_is_refused(data: bytes) -> None:
    with pytest.raises(Violation):
        list(MuxReader().feed(data))


@pytest.mark.parametrize("payload", [b"", b"[1]", b"{", b"\xff", b"[" * 100_000])
def test_a_frame_that_should_hold_an_object(payload: bytes) -> None:
    with pytest.raises(Violation):
        frames.Frame(NONCE, b"S", payload).json()


def test_a_request_carries_all_that_the_runner_needs() -> None:
    request = Request("print(1)", ("a", "b"), "shell", b"\0in")
    data = encode_request(NONCE, request, Limits(timeout_s=3), keep=True)
    size, nonce, kind = HEAD.unpack_from(data)
    (head_size,) = struct.unpack_from(">I", data, HEAD.size)
    begin = HEAD.size + 4
    head = json.loads(data[begin : begin + head_size])
    assert (size, nonce, kind) == (len(data) - HEAD.size, NONCE, b"R")
    assert data[begin + head_size :] == b"\0in"
    assert head["program"]["args"] == ["a", "b"]
    assert (head["timeout_s"], head["keep"]) == (3, True)
