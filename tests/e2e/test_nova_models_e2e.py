"""`nova` and models, on two nodes, the other of which has the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_provider import FakeProvider, Say
from support.mesh import Mesh, met, run, wait_for


class World:
    def __init__(self, mesh: Mesh, provider: FakeProvider) -> None:
        self.mesh, self.provider = mesh, provider
        plain = ("--no-mdns", "--slots", "1", "--set", "models.discover=no")
        priced = f"fake,url={provider.url},price_in=1,price_out=2"
        unpriced = f"new,url={provider.url},local=no"
        self.front = mesh.start("front", *plain)
        self.back = mesh.start(
            "back", *plain, "--peer", self.front.address, "--model", priced, "--model", unpriced
        )

    async def ready(self) -> None:
        async with self.front.client() as client:
            await met(client, 2)

    def nova(self, *args: str) -> tuple[int, str, str]:
        ran = self.mesh.nova(*args, node=self.front)
        return ran.returncode, ran.stdout, ran.stderr

    def json(self, *args: str) -> Any:
        code, out, err = self.nova(*args, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("models")
    with FakeProvider(("fake", "new")) as provider, Mesh(folder) as mesh:
        world = World(mesh, provider)
        run(world.ready())
        yield world


CHAT = ("run", "llm.chat", "--arg", "prompt=hello", "--model", "fake")


def test_models_of_other_nodes_are_listed_with_their_prices(world: World) -> None:
    code, out, _ = world.nova("models")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split()[:3] == ["MODEL", "NODE", "WHERE"]
    assert lines[1].split()[:6] == ["fake", "back", "local", "?", "$1.00", "$2.00"]
    assert lines[2].split()[:6] == ["new", "back", "cloud", "?", "?", "?"]


def test_text_goes_to_stdout_and_what_it_took_to_stderr(world: World) -> None:
    world.provider.script(Say("one\ntwo \x1b[31mred", usage=(10, 5)))
    code, out, err = world.nova(*CHAT)
    assert (code, out) == (0, "one\ntwo \\x1b[31mred\n")
    assert f"fake on node {world.back.id[:8]}: 10 + 5 tokens, $0.000020" in err


def test_an_answer_of_a_form(world: World, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["a"]}')
    world.provider.script(Say('{"a": 1}'))
    found = world.json(*CHAT, "--json-schema", str(schema), "--fresh")
    assert found["value"]["parsed"] == {"a": 1}


def test_an_estimate_asks_no_model(world: World) -> None:
    before = len(world.provider.asked)
    found = world.json(*CHAT, "--estimate")
    assert 0 < found["low_uusd"] < found["worst_uusd"]
    assert len(world.provider.asked) == before


def test_a_budget_lets_through_what_fits_and_nothing_else(world: World) -> None:
    code, _, err = world.nova(*CHAT, "--fresh", "--budget", "0.01")
    assert code == 0, err
    before = len(world.provider.asked)
    code, _, err = world.nova(*CHAT, "--fresh", "--budget", "0.000001")
    assert (code, "raise --budget" in err) == (5, True)
    code, _, err = world.nova(*CHAT[:4], "--model", "new", "--budget", "1")
    assert (code, "the price of new is unknown" in err) == (5, True), err
    assert len(world.provider.asked) == before


def test_what_it_cost_is_known_afterwards(world: World) -> None:
    world.nova(*CHAT, "--fresh")
    world.nova(*CHAT[:4], "--model", "new", "--fresh")

    def both() -> Any:
        found = world.json("costs", "--by", "model")
        rows = {row["key"]: row for row in found["rows"]}
        return rows if {"fake", "new"} <= set(rows) else None

    rows = wait_for(both, "both models in the history")
    assert rows["fake"]["spent_uusd"] >= 20
    assert rows["fake"]["unpriced"] == 0
    assert (rows["new"]["spent_uusd"], rows["new"]["unpriced"]) == (0, rows["new"]["attempts"])
    expected = world.json(*CHAT, "--estimate")
    assert expected["expected_uusd"] is not None
    assert expected["models"][0]["answers_known"] >= 1
    assert (expected["missing"], expected["why"]) == ([], "")
    people = world.json("costs", "--by", "person")
    assert people["all"]["attempts"] == sum(row["attempts"] for row in rows.values())
    assert world.json("stats")["models"]["calls"] >= 2
    code, out, _ = world.nova("stats")
    assert code == 0
    assert "answered by the cache" in out


def test_a_name_that_is_nearly_right(world: World) -> None:
    code, _, err = world.nova(*CHAT[:4], "--model", "fakes")
    assert (code, "did you mean fake" in err) == (1, True)
