"""Typed arguments of `nova run`."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from nova_client.model import Capability, Limits, Param
from nova_console.cli.args import parse, signature


def card(*params: tuple[str, str, bool]) -> Capability:
    made = tuple(Param(name, type_, required, None, "") for name, type_, required in params)
    return Capability("a.b", "1", "", made, False, False, Limits())


TYPED = card(
    ("text", "str", False),
    ("n", "int", False),
    ("x", "float", False),
    ("on", "bool", False),
    ("any", "json", False),
)


def test_values_take_the_type_of_their_parameter():
    pairs = ["text=1=2", "n=-3", "x=1e3", "on=yes", 'any={"k": [1]}']
    args, inputs = parse(TYPED, pairs, None, [])
    assert args == {"text": "1=2", "n": -3, "x": 1000.0, "on": True, "any": {"k": [1]}}
    assert inputs == {}


def test_single_arguments_win_over_the_object():
    args, _ = parse(TYPED, ["n=2"], '{"n": 1, "text": "t"}', [])
    assert args == {"n": 2, "text": "t"}


@pytest.mark.parametrize(
    ("pairs", "json_args", "message"),
    [
        (["nn=1"], None, "no parameter 'nn'"),
        (["n"], None, "name=value"),
        (["n=one"], None, "n takes int, not 'one'"),
        (["on=maybe"], None, "on takes bool"),
        (["any={"], None, "any takes json"),
        ([], '{"zz": 1}', "no parameter 'zz'"),
        ([], "[1]", "takes an object"),
        ([], "{", "not JSON"),
    ],
)
def test_what_is_wrong_is_named(pairs: list[str], json_args: str | None, message: str):
    with pytest.raises(click.UsageError) as caught:
        parse(TYPED, pairs, json_args, [])
    assert message in caught.value.message


def test_inputs_go_to_the_parameter_that_takes_them(tmp_path: Path):
    path = tmp_path / "a=b.bin"
    path.write_bytes(b"raw")
    one_file = card(("data", "bytes", True), ("n", "int", False))
    assert parse(one_file, [], None, [str(path)])[1] == {"data": b"raw"}
    assert parse(one_file, ["data=typed"], None, [])[1] == {"data": b"typed"}
    many = card(("old", "files", True), ("new", "files", True))
    bound = parse(many, [], None, ["old=x", f"new={path}", "new=y"])[1]
    assert bound == {"old": [Path("x")], "new": [path, Path("y")]}
    for inputs, message in (
        (["x"], "which parameter"),
        (["old=x"], "new is missing: --input new=PATH"),
    ):
        with pytest.raises(click.UsageError) as caught:
            parse(many, [], None, inputs)
        assert message in caught.value.message
    optional = card(("program", "bytes", False), ("stdin", "files", False))
    assert parse(optional, [], None, [str(path)])[1] == {"program": b"raw"}
    with pytest.raises(click.UsageError, match="takes files: --input old=PATH"):
        parse(many, ["old=x"], None, [])
    with pytest.raises(click.UsageError, match="cannot read"):
        parse(one_file, [], None, [str(tmp_path / "absent")])


def test_a_required_parameter_says_how_to_give_it():
    needs = card(("message", "str", True), ("n", "int", False))
    assert signature(needs) == "a.b message:str [n:int]"
    with pytest.raises(click.UsageError, match="--arg message=STR"):
        parse(needs, [], None, [])


@pytest.mark.parametrize(
    ("text", "value"), [("hi", "hi"), ('"hi"', "hi"), ("[1]", [1]), ("1.5", 1.5), ("a b", "a b")]
)
def test_a_json_parameter_takes_a_bare_word(text: str, value: object):
    args, _ = parse(TYPED, [f"any={text}"], None, [])
    assert args["any"] == value
