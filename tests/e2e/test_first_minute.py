"""What a newcomer does first: start a node, start another, run something, look at it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mesh import Mesh, Node, met, run

USABLE_S = 2.5
TRIES = 4


def test_a_second_node_is_found_and_used_within_seconds(mesh: Mesh) -> None:
    """No address is given to either. The best of a few tries: the machine may be busy."""
    first = mesh.start("first", "--slots", "1")

    async def one_try(number: int) -> float:
        label = f"n{number}"
        async with first.client() as client:
            task = await client.submit("core.echo", {"data": label}, labels={"which": label})
            began = time.monotonic()
            mesh.start(label, "--slots", "1", "--label", f"which={label}")
            assert await task.result(20.0) == label
            return time.monotonic() - began

    took_s: list[float] = []
    while not took_s or (min(took_s) > USABLE_S and len(took_s) < TRIES):
        took_s.append(run(one_try(len(took_s))))
    assert min(took_s) <= USABLE_S, took_s


# ---------------------------------------------------------------- the command nova


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mesh, Node]]:
    with Mesh(tmp_path_factory.mktemp("mesh")) as mesh:
        node = mesh.start("one", "--slots", "1", "--capability", "support.sample_capabilities")
        mesh.start("two", "--slots", "1")

        async def ready() -> None:
            async with node.client() as client:
                await met(client, 2)

        run(ready())
        yield mesh, node


def test_run_prints_the_value(pair: tuple[Mesh, Node]) -> None:
    mesh, node = pair
    done = mesh.nova("run", "core.echo", "--json-args", '{"data": ["\\u00e9", 1]}', node=node)
    assert (done.returncode, json.loads(done.stdout)) == (0, ["é", 1])


def test_run_finds_a_local_node_by_itself(pair: tuple[Mesh, Node]) -> None:
    done = pair[0].nova("run", "core.echo", "--arg", "data=7", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["status"], said["value"], said["attempt"]) == ("done", 7, 1)
    assert said["schema"] == 1


def test_nodes_are_listed_with_what_they_are(pair: tuple[Mesh, Node]) -> None:
    mesh, node = pair
    nodes = json.loads(mesh.nova("nodes", "--json", node=node).stdout)
    assert nodes["mesh"] == mesh.name
    assert {n["name"]: n["state"] for n in nodes["nodes"]} == {"one": "alive", "two": "alive"}
    assert [n["name"] for n in nodes["nodes"] if n["self"]] == ["one"]


def test_a_detached_task_can_be_followed_and_found(pair: tuple[Mesh, Node]) -> None:
    mesh, node = pair
    id_ = mesh.nova("run", "sample.say", "--arg", "text=hello", "--detach", node=node).stdout
    id_ = id_.strip()
    logs = mesh.nova("logs", "--follow", id_, node=node)
    assert (logs.returncode, logs.stdout.strip()) == (0, "hello")
    shown = json.loads(mesh.nova("show", id_, "--json", node=node).stdout)
    assert (shown["status"], shown["capability"]) == ("done", "sample.say")
    listed = json.loads(mesh.nova("tasks", "--json", node=mesh.nodes["two"]).stdout)
    assert id_ in [task["id"] for task in listed["tasks"]]  # asked of the other node


def test_cancel_ends_a_task(pair: tuple[Mesh, Node]) -> None:
    mesh, node = pair
    id_ = mesh.nova("run", "core.sleep", "--arg", "seconds=60", "--detach", node=node).stdout
    done = mesh.nova("cancel", id_.strip(), "--json", node=node)
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "cancelled")


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["run", "sample.fail", "--max-attempts", "1"], 1, "not today"),
        (["run", "core.ecco", "--arg", "data=1"], 1, "core.echo"),
        (["show", "aaaaaaaa-1"], 1, "nova nodes"),
        (["run", "core.echo"], 2, "data is missing"),
        (["run", "core.echo", "--arg", "dada=1"], 2, "dada"),
        (["run", "core.sleep", "--arg", "seconds=soon"], 2, "float"),
        (["show", "not-an-id"], 2, "looks like"),
        (["--node", "127.0.0.1:1", "nodes"], 3, "nova-node start"),
        (["run", "core.sleep", "--arg", "seconds=3", "--timeout", "0.1"], 4, "nova cancel"),
    ],
)
def test_what_goes_wrong_has_a_code_and_a_fix(
    pair: tuple[Mesh, Node], arguments: list[str], code: int, word: str
) -> None:
    mesh, node = pair
    done = mesh.nova(*arguments, node=node)
    assert done.returncode == code, done.stderr
    assert word in done.stderr


def test_files_are_counted_over_both_nodes(pair: tuple[Mesh, Node], tmp_path: Path) -> None:
    mesh, node = pair
    (tmp_path / "a").write_text("one two two " * 1000)
    (tmp_path / "b").write_text("three")
    done = mesh.nova(
        "run", "text.wordcount", "--input", str(tmp_path), "--shards", "8", "--json", node=node
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["value"] == {"one": 1000, "two": 2000, "three": 1}
