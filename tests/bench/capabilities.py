"""work.py as capabilities, for nodes started with `--capability bench.capabilities`."""

from __future__ import annotations

from bench import work

from nova_node.capability import capability


@capability("bench.noop")
def noop(number: int) -> int:
    return work.noop(number)


@capability("bench.echo")
def echo(data: bytes) -> bytes:
    return work.echo(data)


@capability("bench.worker_pid")
def worker_pid(number: int) -> int:
    return work.worker_pid(number)


@capability("bench.sleep_mark")
def sleep_mark(path: str, number: int, duration_s: float) -> int:
    return work.sleep_mark((path, number, duration_s))
