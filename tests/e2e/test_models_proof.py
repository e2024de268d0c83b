"""What is promised of prompts, looked at from outside: money with the provider's own count, and secrecy
on the wire."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from nova_client import TaskFailed
from support.fake_provider import FakeProvider, Say
from support.mesh import Mesh, eventually, met, run

PLAIN = ("--slots", "1", "--set", "models.discover=no", "--set", "models.cache_ttl_s=0")

CALL_UUSD = 10 * 100 + 5 * 1000
"""What the provider bills for one answer: 10 tokens in, 5 out."""

LIMIT_UUSD = 60 * CALL_UUSD
ALLOWANCE_UUSD = 20_000
ETH_P_ALL = 3


@pytest.mark.parametrize("killed", [False, True], ids=["in peace", "with a node killed"])
def test_a_hundred_prompts_at_once_stay_below_their_budget(mesh: Mesh, killed: bool) -> None:
    with FakeProvider() as provider:
        provider.otherwise = lambda request: Say("one two three four five", delay_s=0.05)
        model = f"fake,url={provider.url},price_in=100,price_out=1000"
        nodes = [mesh.start(name, *PLAIN, "--model", model) for name in ("a", "b", "c")]

        async def main() -> None:
            async with nodes[0].client() as client:
                await met(client, 3)
                tasks = await client.submit_many(
                    [("llm.chat", {"prompt": f"no {n}", "max_tokens": 10}) for n in range(100)],
                    prefers=(("model.fake", "yes"),),
                    budget_uusd=LIMIT_UUSD,
                    allowance_uusd=ALLOWANCE_UUSD,
                )
                if killed:

                    async def under_way() -> bool:
                        return len(provider.asked) >= 9

                    await eventually(under_way, "prompts at the provider")
                    nodes[1].kill()
                done, codes = 0, set[str]()
                for task in tasks:
                    try:
                        await task.result(120)
                        done += 1
                    except TaskFailed as failed:
                        codes.add(failed.code)
                budget = (await tasks[0].show()).budget
            billed = len(provider.asked) * CALL_UUSD
            assert codes == {"budget_exhausted"}
            assert 20 <= done < 100
            assert done * CALL_UUSD <= billed <= LIMIT_UUSD
            assert budget is not None
            assert (budget.limit_uusd, budget.reserved_uusd) == (LIMIT_UUSD, 0)
            assert billed <= budget.spent_uusd <= LIMIT_UUSD

        run(main())


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="reading the wire needs Linux and root"
)
def test_a_local_prompt_passes_no_other_wire(mesh: Mesh) -> None:
    """Every packet of loopback is read: the canary goes from the client to its node, from there to the
    node with the local model, and to that model."""
    canary = b"canary-77e1c0"
    with FakeProvider() as local, FakeProvider() as cloud:
        owner = mesh.start("owner", *PLAIN, "--model", f"near,url={cloud.url},local=no")
        near = mesh.start("near", *PLAIN, "--model", f"near,url={local.url}")
        other = mesh.start("other", *PLAIN, "--model", f"near,url={cloud.url},local=no")

        async def main() -> None:
            async with owner.client() as client:
                await met(client, 3)
                for _ in range(5):
                    task = await client.submit(
                        "llm.chat",
                        {"prompt": canary.decode(), "local_only": True},
                        labels={"models.local": "yes"},
                    )
                    await task.result(60)

        with _wire() as packets:
            run(main())
        assert len(local.asked) == 5
        assert canary not in cloud.raw
        allowed = {int(node.address.rpartition(":")[2]) for node in (owner, near)} | {local.port}
        ports = [_ports(packet) for packet in packets if canary in packet]
        assert len(ports) >= 5
        assert all(allowed & set(pair) for pair in ports)
        assert int(other.address.rpartition(":")[2]) not in {
            port for pair in ports for port in pair
        }
        for file in _files(mesh.folder / "other"):
            assert canary not in file.read_bytes(), file


@contextmanager
def _wire() -> Generator[list[bytes]]:
    """What passes on loopback from now on."""
    packets: list[bytes] = []
    over = threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as raw:
        raw.bind(("lo", 0))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        raw.settimeout(0.2)

        def read() -> None:
            while not over.is_set():
                try:
                    packets.append(raw.recv(1 << 17))
                except TimeoutError:
                    continue

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield packets
        finally:
            over.set()
            reader.join()


def _ports(packet: bytes) -> tuple[int, int]:
    """Of a TCP packet over IPv4: from and to."""
    at = 14 + 4 * (packet[14] & 15)
    return int.from_bytes(packet[at : at + 2]), int.from_bytes(packet[at + 2 : at + 4])


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
