"""What asking a model costs beside the model: litellm alone, the gateway, and a whole mesh.

    python tests/bench/models.py [ROUNDS [DELAY_MS]]

A fake provider in a process of its own says 50 words, each after DELAY_MS (0). All ways in turn: prompt by
prompt for the time to the first token, then 32 at once for throughput, against litellm alone in the same
round. The mesh is two nodes: the prompt is submitted to one, by the SDK or by the endpoint for OpenAI
clients, and asked on the other.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import aiohttp
from nova_client import Client
from nova_client.model import LogLine
from support.mesh import Mesh, met, wait_for

from nova_node.models.gateway import Gateway, Question
from nova_node.models.spec import parse_spec

PROVIDER = Path(__file__).parents[1] / "support/fake_provider.py"
WORDS, SINGLE, PARALLEL, EACH = 50, 20, 32, 2
MESSAGES = [{"role": "user", "content": "hello"}]

SETTLE_S = 0.05
"""litellm goes on working for a while after an answer, whoever asked."""

Ask = Callable[[], Awaitable[float]]
"""Asks once, and returns the seconds until the first piece."""


async def rate_of(ask: Ask) -> float:
    """Answers a second, of many at once."""

    async def some() -> None:
        for _ in range(EACH):
            await ask()

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(PARALLEL)))
    return PARALLEL * EACH / (time.perf_counter() - began)


def alone(litellm: Any, url: str) -> Ask:
    async def ask() -> float:
        began, first = time.perf_counter(), 0.0
        stream = await litellm.acompletion(
            model="openai/fake",
            api_base=url,
            api_key="none",
            messages=MESSAGES,
            stream=True,
            stream_options={"include_usage": True},
            max_tokens=1024,
        )
        async for chunk in stream:
            if not first and chunk.choices and chunk.choices[0].delta.content:
                first = time.perf_counter() - began
        return first

    return ask


def through_gateway(gateway: Gateway, url: str) -> Ask:
    spec = parse_spec(f"fake,url={url}")

    async def ask() -> float:
        began, firsts = time.perf_counter(), list[float]()
        await gateway.chat(
            spec, "", Question(MESSAGES, 1024), 60, lambda text: firsts.append(time.perf_counter())
        )
        return firsts[0] - began

    return ask


def through_mesh(client: Client) -> Ask:
    async def ask() -> float:
        began, firsts = time.perf_counter(), list[float]()

        def hear(line: LogLine) -> None:
            if not line.stderr:
                firsts.append(time.perf_counter())

        args = {"messages": MESSAGES, "models": ["fake"], "fresh": True}
        task = await client.submit("llm.chat", args, hear=hear, durability="volatile")
        await task.result(60)
        return firsts[0] - began

    return ask


def through_endpoint(session: aiohttp.ClientSession, url: str) -> Ask:
    asks = {"model": "fake", "messages": MESSAGES, "stream": True, "nova": {"fresh": True}}

    async def ask() -> float:
        began, first = time.perf_counter(), 0.0
        async with session.post(f"{url}/chat/completions", json=asks) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                if not first and b'"content":' in line:
                    first = time.perf_counter() - began
        return first

    return ask


async def measure(ways: dict[str, Ask], rounds: int) -> None:
    names, asks = list(ways), list(ways.values())
    firsts: dict[str, list[float]] = {name: [] for name in names}
    rates: dict[str, list[float]] = {name: [] for name in names}
    for ask in asks:  # the host of models starts, connections open
        await rate_of(ask)
    for _ in range(rounds):
        for number in range(SINGLE):
            for at in range(len(names)):
                name = names[(number + at) % len(names)]
                await asyncio.sleep(SETTLE_S)
                firsts[name].append(await ways[name]() * 1000)
        for name, ask in ways.items():
            rates[name].append(await rate_of(ask))
    base = names[0]
    for name in names:
        first = statistics.median(firsts[name])
        over = [one - other for one, other in zip(firsts[name], firsts[base], strict=True)]
        ratio = [one / other for one, other in zip(rates[name], rates[base], strict=True)]
        sys.stdout.write(
            f"{name:<14} first token p50 {first:6.1f} ms ({statistics.median(over):+5.1f})"
            f"   {PARALLEL} at once {statistics.median(rates[name]):6.1f} answers/s"
            f" ({statistics.median(ratio):.2f} x)\n"
        )


async def scene(url: str, mesh: Mesh, rounds: int) -> None:
    options = ("--slots", "1", "--set", "models.discover=no", "--set", "models.cache_ttl_s=0")
    owner = mesh.start("owner", *options, "--openai", "127.0.0.1:0")
    mesh.start("worker", *options, "--model", f"fake,url={url}")
    told = wait_for(lambda: re.search(r"mesh: (http://\S+)", owner.said()), "the endpoint")
    gateway = Gateway()
    litellm = await gateway.load()
    async with owner.client() as client, aiohttp.ClientSession() as session:
        await met(client, 2)
        ways = {
            "litellm alone": alone(litellm, url),
            "the gateway": through_gateway(gateway, url),
            "another node": through_mesh(client),
            "its endpoint": through_endpoint(session, told[1]),
        }
        await measure(ways, rounds)
    await gateway.close()


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    delay_ms = sys.argv[2] if len(sys.argv) > 2 else "0"
    command = [sys.executable, str(PROVIDER), "--words", str(WORDS), "--delay-ms", delay_ms]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    provider = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert provider.stdout
    url = provider.stdout.readline().strip()
    try:
        with tempfile.TemporaryDirectory() as folder, Mesh(Path(folder)) as mesh:
            asyncio.run(scene(url, mesh, rounds))
    finally:
        provider.kill()
        provider.wait()


if __name__ == "__main__":
    main()
