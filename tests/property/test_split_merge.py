"""Splitting, running and merging gives what the unsplit call gives, for any bytes."""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nova_node.capabilities.file import digest
from nova_node.capabilities.text import MAX_MATCHES, grep, wordcount
from nova_node.capability import WHITESPACE, Capability, Files, Piece

SPACES = "".join(map(chr, WHITESPACE)) + "\x85\xa0\u2003\u2028\u3000"
#: dense in what goes wrong: every kind of space, parts of characters, invalid bytes
CHUNKS = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([*SPACES, "a", "b", "é", "€", "😀", "ab c"]).map(str.encode),
    st.sampled_from([b"\xe2\x82", b"\xe2", b"\xf0\x9f\x98", b"\x80", b"\xc2", b"\r\n", b"\n\n"]),
)
FILES = st.lists(st.lists(CHUNKS, max_size=40).map(b"".join), max_size=5)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


def write(folder: Path, contents: list[bytes]) -> Files:
    """Files that lie somewhere inside larger ones, as extents do."""
    pieces: list[Piece] = []
    for i, data in enumerate(contents):
        path = folder / str(i)
        path.write_bytes(b"before" + data + b"after")
        pieces.append(Piece(f"file{i}", str(i), str(path), 6, len(data)))
    return Files(pieces)


def split_run_merge(found: Capability[..., Any], calls: list[dict[str, Any]], shards: int) -> Any:
    """Two levels of splitting, and a merge of merges."""
    assert found.merger is not None
    merged: list[Any] = []
    for args in calls:
        bound = found.bind(args)
        inner = [part(found, found(**found.bind(each))) for each in found.cut(bound, shards)]
        merged.append(part(found, found.merger(iter(inner))))
    return found.merger(iter(merged))


def part(found: Capability[..., Any], result: Any) -> Any:
    return found.unpacker(found.packer(result)) if found.packer and found.unpacker else result


def levels(found: Capability[..., Any], args: dict[str, Any], a: int, b: int) -> Any:
    outer = [dict(each) for each in found.cut(found.bind(args), a)]
    assert 1 <= len(outer) <= a
    return split_run_merge(found, outer, b)


@given(FILES, st.integers(1, 9), st.integers(1, 4), st.integers(1, 3))
@example([b"x" * 300_000 + b" y"], 8, 2, 1)
@example(["€".encode() * 100_000], 5, 1, 1)
@example(["é\u2003ab\n".encode() * 20_000], 2, 2, 1)
@settings(deadline=None)
def test_wordcount(folder: Path, contents: list[bytes], a: int, b: int, min_length: int) -> None:
    want = Counter[str]()
    for data in contents:
        want.update(data.decode(errors="replace").split())
    args: dict[str, Any] = {"files": write(folder, contents), "min_length": min_length}
    expected = {word: n for word, n in want.items() if len(word) >= min_length}
    assert wordcount(**args) == expected
    assert levels(wordcount, args, a, b) == expected


def test_wordcount_packs_numbers_of_any_size() -> None:
    for counts in ({"a": 1 << 40, "b": 1}, {"a": 1}, {}):
        assert wordcount.merger is not None
        assert wordcount.merger(iter([part(wordcount, counts)])) == counts


@given(FILES, st.integers(1, 9), st.integers(1, 4), st.sampled_from(["a", "^$", "B", "é|😀", "."]))
@settings(deadline=None)
def test_grep(folder: Path, contents: list[bytes], a: int, b: int, pattern: str) -> None:
    want: list[dict[str, object]] = []
    for i, data in enumerate(contents):
        lines = data.decode(errors="replace").split("\n")
        for number, line in enumerate(lines[: None if lines[-1] else -1], 1):
            text = line.removesuffix("\r")
            if re.search(pattern, text, re.IGNORECASE):
                want.append({"file": f"file{i}", "line": number, "text": text})
    args: dict[str, Any] = {
        "files": write(folder, contents),
        "pattern": pattern,
        "ignore_case": True,
    }
    assert grep(**args) == want
    assert levels(grep, args, a, b) == want


def test_grep_is_bounded(folder: Path) -> None:
    args: dict[str, Any] = {"files": write(folder, [b"a\n" * 3000]), "pattern": "a"}
    found = levels(grep, args, 4, 2)
    assert [each["line"] for each in found] == list(range(1, MAX_MATCHES + 1))


@given(FILES, st.integers(1, 9), st.integers(1, 3))
@settings(deadline=None)
def test_digest(folder: Path, contents: list[bytes], a: int, b: int) -> None:
    args: dict[str, Any] = {"files": write(folder, contents)}
    assert levels(digest, args, a, b) == digest(**args)


@given(
    st.lists(st.one_of(st.integers(0, 20), st.integers(900, 3000)), max_size=30),
    st.integers(1, 12),
)
@settings(deadline=None)
def test_a_cut_covers_everything_evenly(folder: Path, sizes: list[int], shards: int) -> None:
    files = write(folder, [b"word " * (size // 5) + b"x" * (size % 5) for size in sizes])
    runs = files.cut(shards, b" ")
    assert 1 <= len(runs) <= shards
    assert b"".join(piece.read() for run in runs for piece in run) == b"".join(
        piece.read() for piece in files
    )
    share = -(-files.size_bytes // shards)
    assert all(run.size_bytes <= 2 * share + 10 for run in runs)


@given(st.binary(max_size=300), st.integers(1, 40))
@settings(deadline=None)
def test_blocks_end_where_asked(folder: Path, data: bytes, size: int) -> None:
    (piece,) = write(folder, [data])
    blocks = list(piece.blocks(b"\x00\x01 ", size))
    assert b"".join(blocks) == data
    assert all(block[-1:] in (b"\x00", b"\x01", b" ") for block in blocks[:-1])
