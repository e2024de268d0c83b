"""A secret is let out in every way that a capability does without meaning to, and its processes and the
node are killed while they hold it: nothing that Nova wrote holds it afterwards, in any form."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from nova_client import BlobRef, Client, Status, TaskFailed
from support.leaky_capabilities import WAYS
from support.mesh import NODE, Mesh, Node, eventually, run, wait_for

from nova_node.secrets.redact import forms

CANARY = f'can+ary/"{secrets.token_hex(12)}" é?'
PIN = str(10**14 + secrets.randbelow(10**14))
BY_ENV = f"env-{secrets.token_hex(12)}"
BY_FILE = f"file-{secrets.token_hex(12)}"
NOTE = b"[secret db]"
QUIET = {"bad", "half", "half-raw", "later"}
GIVEN = {"db": "secret:canary", "pin": "secret:pin"}
SOUGHT = sorted(form.encode() for value in (CANARY, PIN, BY_ENV, BY_FILE) for form in forms(value))


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    folder = tmp_path / "mesh"
    folder.mkdir()
    with Mesh(folder) as mesh:
        mesh.environment["NOVA_SECRET_CANARY"] = BY_ENV
        yield mesh


def store(mesh: Mesh, node: str, name: str, value: str, command: str = "set") -> None:
    subprocess.run(
        [NODE, "secret", command, name, "--data-dir", str(mesh.folder / node)],
        input=value.encode(),
        env=mesh.environment,
        check=True,
        capture_output=True,
        timeout=30,
    )


def start(mesh: Mesh, *sources: str) -> Node:
    store(mesh, "one", "canary", CANARY)
    store(mesh, "one", "pin", PIN)
    modules = ["--capability", "support.leaky_capabilities", "--slots", "2", "--no-mdns"]
    return mesh.start("one", *modules, "--set", f"secret_sources={','.join(sources)}")


def found_in(data: bytes) -> list[bytes]:
    return [form for form in SOUGHT if form in data]


def assert_none_on_disk(mesh: Mesh) -> None:
    files = {file: file.read_bytes() for file in mesh.folder.rglob("*") if file.is_file()}
    found = {str(file): hits for file, data in files.items() if (hits := found_in(data))}
    assert not found
    names = {file.name for file in files}
    assert {"store", "key", "one.log"} <= names  # all of the node's folder was read
    assert any(NOTE in data for data in files.values())  # and what was said is there to be read


async def seen_of(client: Client, capability: str, **args: str) -> bytes:
    """What a client can see of a task."""
    task = await client.submit(capability, args, secrets=GIVEN, max_attempts=1)
    try:
        answer = await task.result(30.0)
        seen = repr(await client.fetch(answer) if isinstance(answer, BlobRef) else answer)
    except TaskFailed as failed:
        seen = f"{failed!r} {failed} {vars(failed)}"
    lines = [line.text async for line in client.logs(task.id)]
    view = await client.get(task.id)
    return f"{seen} {lines} {view!r}".encode()


async def hold(client: Client, path: Path) -> tuple[str, int]:
    """A task that holds the secret now, and its process."""
    task = await client.submit("leaky.hold", {"path": str(path)}, secrets=GIVEN, max_attempts=1)

    text = await asyncio.to_thread(
        wait_for, lambda: path.exists() and path.read_text(), "it to hold"
    )
    return task.id, int(text)


async def failed(client: Client, task: str) -> bool:
    return (await client.get(task)).status is Status.FAILED


def test_a_canary_is_nowhere(mesh: Mesh, tmp_path: Path) -> None:
    node = start(mesh)

    async def scene() -> int:
        async with node.client() as client:
            for way in WAYS:
                seen = await seen_of(client, "leaky.leak", way=way)
                assert not found_in(seen), way
                assert (b"[secret " in seen) is (way not in QUIET), way
            assert not found_in(await seen_of(client, "leaky.cut", word="x"))
            task, pid = await hold(client, tmp_path / "first")
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: failed(client, task), "the task to fail")
            lines = "".join([line.text async for line in client.logs(task)])
            assert "said [secret db]\n" in lines
            assert not found_in(lines.encode())
            _, pid = await hold(client, tmp_path / "second")
            assert_none_on_disk(mesh)
            node.kill()
            return pid

    pid = run(scene())
    wait_for(lambda: not psutil.pid_exists(pid), "the worker process to end with its node")
    assert_none_on_disk(mesh)
    node.restart()
    assert_none_on_disk(mesh)


def test_a_canary_that_comes_from_outside_the_store(mesh: Mesh, tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "token").write_text(BY_FILE + "\n")
    node = start(mesh, "env:NOVA_SECRET_*", f"file:{folder}/*")
    references = {"env:NOVA_SECRET_CANARY": BY_ENV, f"file:{folder}/token": BY_FILE}

    async def scene() -> None:
        async with node.client() as client:
            for reference in references:
                given = {"db": reference}
                task = await client.submit("leaky.leak", {"way": "print"}, secrets=given)
                await task.result(20.0)
                lines = "".join([line.text async for line in client.logs(task.id)])
                assert lines == "say [secret db] twice [secret db]\n"
                around = await client.submit("leaky.around", secrets=given)
                assert await around.result(20.0) == {
                    "environ": False,
                    "arguments": False,
                    "cores": [0, 0],
                }

    run(scene())
    assert_none_on_disk(mesh)
    assert not found_in(
        b"".join(Path(f"/proc/{p.pid}/environ").read_bytes() for p in node.workers())
    )


def test_refusals_rotation_and_rules(mesh: Mesh) -> None:
    node = start(mesh)

    async def code(client: Client, reference: str) -> str:
        task = await client.submit(
            "leaky.leak", {"way": "text"}, secrets={"db": reference}, max_attempts=1
        )
        with pytest.raises(TaskFailed) as caught:
            await task.result(20.0)
        return caught.value.code

    async def length(client: Client) -> int:
        task = await client.submit("leaky.length", secrets=GIVEN)
        return await task.result(20.0)

    async def scene() -> None:
        async with node.client() as client:
            assert await code(client, "secret:unknown") == "secret_missing"
            assert await code(client, "env:HOME") == "secret_refused"
            assert await code(client, "file:/etc/passwd") == "secret_refused"
            assert await length(client) == len(CANARY)
            store(mesh, "one", "canary", "quite another", "rotate")
            assert await length(client) == len("quite another")
            nothing = await client.submit("leaky.after")
            with pytest.raises(TaskFailed, match="gives no secret 'db'"):
                await nothing.result(20.0)

    run(scene())
    listed = subprocess.run(
        [NODE, "secret", "list", "--json", "--data-dir", str(node.data_dir)],
        env=mesh.environment,
        capture_output=True,
        check=True,
        timeout=30,
    )
    names = [each["name"] for each in json.loads(listed.stdout)["secrets"]]
    assert names == ["canary", "pin"]
    assert not found_in(listed.stdout + listed.stderr)
