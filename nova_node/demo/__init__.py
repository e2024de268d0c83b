"""The demo: three nodes find each other, share one job, and one of them is killed in the middle.

Nothing in it is played: real processes, real mDNS, the SDK that programs use, a real SIGKILL. What it
tells was folded from the events that the nodes report, and the result is checked against a plain count.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack, aclosing, suppress
from pathlib import Path
from types import FrameType

import click
from nova_client import Client
from nova_client import errors as client_errors

from nova_node.core.errors import Invalid, NovaError, Unavailable
from nova_node.demo import account, console
from nova_node.demo.nodes import Nodes
from nova_node.demo.record import Killed, Record
from nova_node.demo.text import choose, count, shards_for

NAMES = ("alder", "birch", "cedar")
OWNER = NAMES[0]
MEET_S = 15.0
JOB_S = 120.0
KILL_WHEN_DONE = 1 / 3


def run(path: str | None, with_console: bool = True) -> int:
    """Play the demo on the files below `path` (None: Python's own library), then show it in the
    console if somebody sits at a terminal; the exit code.

    Raises NovaError, and KeyboardInterrupt; either way nothing is left behind."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        folder, files = choose(path)
        with Nodes(NAMES) as nodes:
            demo = _Demo(nodes, folder, files)
            code = asyncio.run(demo.play())
            if with_console and console.wanted():
                click.echo(account.line("console", "q leaves it and ends the demo"))
                console.look(demo.address, f"flow {demo.task}")
            return code
    except client_errors.Invalid as error:
        raise Invalid(error.message, error.fix) from error
    except client_errors.NovaError as error:
        raise NovaError(error.message, error.fix, error.code) from error


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Ctrl-C by another name."""
    signal.raise_signal(signal.SIGINT)


class _Demo:
    def __init__(self, nodes: Nodes, folder: Path, files: dict[str, Path]) -> None:
        #: of the owner, and the id of its task, once they are known
        self.address, self.task = "", ""
        self._nodes = nodes
        self._folder = folder
        self._files = files
        self._met = asyncio.Event()
        self._live = sys.stdout.isatty()

    async def play(self) -> int:
        size_bytes = sum(file.stat().st_size for file in self._files.values())
        self._tell(
            "text", f"{len(self._files):,} files, {size_bytes / 1e6:.1f} MB, in {self._folder}"
        )
        self._tell("nodes", ", ".join(f"{name} ({self._nodes.pid(name)})" for name in NAMES))
        async with AsyncExitStack() as stack:
            clients = await self._connect(stack)
            self._record = Record(
                {client.node: name for name, client in clients.items()}, OWNER, self._nodes.began
            )
            for name, client in clients.items():
                stack.callback(asyncio.create_task(self._watch(name, client)).cancel)
            await self._meet()
            counts, took_s = await self._work(clients[OWNER], shards_for(size_bytes))
        began = time.perf_counter()
        plain = await asyncio.to_thread(count, self._files.values())
        return self._compare(counts, took_s, plain, time.perf_counter() - began)

    async def _connect(self, stack: AsyncExitStack) -> dict[str, Client]:
        serving = await self._nodes.serving()
        self.address = serving[OWNER].address
        clients = {name: Client(serving[name].address) for name in NAMES}
        for client in clients.values():
            await stack.enter_async_context(client)
        return clients

    async def _meet(self) -> None:
        try:
            async with asyncio.timeout(MEET_S):
                await self._met.wait()
        except TimeoutError:
            raise Unavailable(
                f"the nodes did not find each other by mDNS within {MEET_S:g} s",
                "see why with `nova-node doctor`",
            ) from None
        self._tell_all(account.meeting(self._record))

    async def _work(self, client: Client, shards: int) -> tuple[Counter[str], float]:
        began = time.perf_counter()
        put = await client.put_files(self._files)
        put_s = time.perf_counter() - began
        self._tell("upload", f"{account.at(self._now())}to {OWNER}, in {put_s:.2f} s")
        began = time.perf_counter()
        task = await client.submit("text.wordcount", inputs={"files": put}, shards=shards)
        self.task = task.id
        self._tell("job", f"{account.at(self._now())}text.wordcount, task {task.id} of {OWNER}")
        counts: Counter[str] = Counter(await task.result(JOB_S))
        took_s = time.perf_counter() - began
        done_at_s = self._now()
        self._clear()
        self._tell_all(account.work(self._record))
        self._tell("done", account.at(done_at_s))
        return counts, took_s

    def _compare(
        self, counts: Counter[str], took_s: float, plain: Counter[str], plain_s: float
    ) -> int:
        self._tell("words", f"{counts.total():,}, {len(counts):,} different")
        self._tell("most", account.words(counts))
        self._tell("took", f"{took_s:.2f} s on the mesh, {plain_s:.2f} s in one plain process")
        if counts != plain:
            wrong = sum(1 for word in counts | plain if counts[word] != plain[word])
            self._tell("result", f"the counts of {wrong:,} words DIFFER")
            return 1
        self._tell("result", "counts agree")
        return 0

    # ------------------------------------------------------------ beside the job

    async def _watch(self, name: str, client: Client) -> None:
        """Until cancelled, or the node was killed."""
        with suppress(client_errors.NovaError):
            async with aclosing(client.watch(1)) as events:
                async for event in events:
                    self._record.add_peer(name, event)
                    if self._record.all_met:
                        self._met.set()
                    if name == OWNER:
                        self._consider(self._record.add(event))
                        self._draw()

    def _consider(self, busy: str | None) -> None:
        """Kill a node that is in the middle of a shard, once a third of the shards is done."""
        record = self._record
        done = len(record.done)
        if busy is None or record.killed is not None or not record.shards:
            return
        if len(record.shards) * KILL_WHEN_DONE <= done < len(record.shards):
            self._nodes.kill(busy)
            record.killed = Killed(busy, self._now(), done)

    def _now(self) -> float:
        return time.time() - self._nodes.began

    # ------------------------------------------------------------ out

    def _tell(self, what: str, text: str) -> None:
        click.echo(account.line(what, text))

    def _tell_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            click.echo(line)

    def _draw(self) -> None:
        if self._live and self._record.shards:
            done_by = self._record.done_by
            by = ", ".join(f"{name} {done_by[name]}" for name in NAMES)
            text = f"{len(self._record.done)} of {len(self._record.shards)} shards: {by}"
            click.echo(f"\r\x1b[K{account.line('', text)}", nl=False)

    def _clear(self) -> None:
        if self._live:
            click.echo("\r\x1b[K", nl=False)
