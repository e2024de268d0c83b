"""What an author's annotations become, and what is refused."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest

from nova_node.capability import BadArgument, Capability, Files, Param, capability


class Row(TypedDict):
    x: int


@capability("test.all", version="3")
def everything(
    text: str,
    count: int,
    ratio: float,
    flag: bool,
    data: bytes,
    files: Files,
    rows: list[Row],
    table: Mapping[str, int],
    either: int | str,
    maybe: int | None = None,
    mode: Literal["a", "b"] = "a",
    noted: Annotated[int, "of things"] = 3,
    *,
    any: Any = None,
) -> None:
    """First line.

    Second line.
    """


def params() -> dict[str, Param]:
    return {param.name: param for param in everything.params}


def test_types_come_from_annotations() -> None:
    kinds = {name: param.type for name, param in params().items()}
    words = "str int float bool bytes files json json json int str int json"
    assert " ".join(kinds.values()) == words
    assert list(kinds)[9:] == ["maybe", "mode", "noted", "any"]
    assert [p.name for p in everything.params if not p.required] == [
        "maybe",
        "mode",
        "noted",
        "any",
    ]
    assert params()["noted"][4:] == (3, "of things")
    assert everything.doc == "First line.\n\nSecond line."


@capability("test.some")
def some(n: int, f: float = 0.5, o: int | None = None, t: dict[str, int] = {}) -> Any:  # noqa: B006
    return n, f, o, t


def test_bind_fills_defaults_and_converts() -> None:
    assert some.bind({"n": 1}) == {"n": 1, "f": 0.5, "o": None, "t": {}}
    assert some.bind({"n": 1, "f": 2, "o": None})["f"] == 2.0
    assert isinstance(some.bind({"n": 1, "f": 2})["f"], float)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "parameter 'n' is missing"),
        ({"n": 1.0}, "'n' must be a whole number, not a number"),
        ({"n": None}, "'n' must be a whole number, not null"),
        ({"n": 1, "f": "x"}, "'f' must be a number, not text"),
        ({"n": 1, "f": 10**400}, "'f' must be a number"),
        ({"n": 1, "o": "x"}, "'o' must be a whole number or null, not text"),
        ({"n": 1, "t": []}, "'t' must be an object, not a list"),
        ({"n": b"x"}, "not bytes"),
        ({"n": 1, "z": 1}, "test.some has no parameter 'z'"),
    ],
)
def test_bind_refuses_what_does_not_fit(given: dict[str, object], message: str) -> None:
    with pytest.raises(BadArgument, match=message) as caught:
        some.bind(given)
    assert caught.value.fix


def test_a_capability_is_still_its_function() -> None:
    assert some(1, o=2) == (1, 0.5, 2, {})


def test_split_gets_what_it_names() -> None:
    @capability("test.cut")
    def cut(n: int, m: int = 2) -> int:
        return n * m

    @cut.split
    def _(n: int, *, shards: int) -> list[dict[str, object]]:
        return [{"n": n}] * shards

    assert cut.cut(cut.bind({"n": 5}), 3) == [{"n": 5}] * 3

    def odd(k: int) -> list[dict[str, object]]:
        return [{"n": k}]

    with pytest.raises(TypeError, match="the split takes"):
        cut.split(odd)


def variadic(*args: int) -> None: ...
def positional(a: int, /) -> None: ...
def strange(a: complex) -> None: ...
def unreadable(a: int = object()) -> None: ...  # type: ignore[assignment]
async def waits() -> None: ...


@pytest.mark.parametrize("function", [variadic, positional, strange, unreadable, waits])
def test_functions_that_cannot_be_called_by_name_with_json_are_refused(function: Any) -> None:
    with pytest.raises(TypeError, match=r"test\.bad"):
        capability("test.bad")(function)


@pytest.mark.parametrize("name", ["", "plain", "A.b", "a.", "a b.c", "a.b\n", "x." + "y" * 200])
def test_names_are_area_dot_verb(name: str) -> None:
    with pytest.raises(TypeError):
        capability(name)


def test_a_default_of_none_accepts_null() -> None:
    def function(n: int = None) -> None: ...  # type: ignore[assignment]  # noqa: RUF013

    made: Capability[..., None] = capability("test.none")(function)
    assert made.bind({"n": None}) == {"n": None}


def test_importing_it_stays_light() -> None:
    asked = (
        "import sys, nova_node.capability\n"
        "print(sorted({'grpc', 'google', 'dataclasses', 'inspect', 'asyncio', 'psutil'}"
        ".intersection(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_piece_reads_its_own_bytes_and_notices_a_short_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"0123456789")
    (whole,) = Files.from_paths(path)
    part = whole.part(2, 5)
    assert part.read() == b"234"
    with part.open() as stream:
        assert stream.readline() == b"234"
    path.write_bytes(b"012")
    with pytest.raises(EOFError, match="f ends 2 bytes early"):
        part.read()
