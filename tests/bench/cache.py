"""How long a look-up by meaning takes among 100,000 answers of one scope, and what keeping one costs.

    python tests/bench/cache.py [--rows 100000] [--numbers 1024]

Vectors are in clusters, as those of real questions are. The bar: 50 ms at p95.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil

from nova_node.models.cache_store import Answers
from nova_node.models.database import NAME, Database
from nova_node.models.vectors import Packed, pack

BAR_MS = 50.0
ASKED = 200
SCOPE = "s" * 40
CLUSTERS = 500
BODY = '{"text": "' + "an answer of some length " * 16 + '"}'


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--numbers", type=int, default=1024)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(measure(Path(folder) / NAME, given.rows, given.numbers))


async def measure(path: Path, rows: int, numbers: int) -> int:
    chance = random.Random(1)
    database = Database(path, 1 << 40)
    answers = Answers(database)
    centres = [pack([chance.gauss(0, 1) for _ in range(numbers)]) for _ in range(CLUSTERS)]
    began = time.perf_counter()
    for n in range(rows):
        centre = centres[n % CLUSTERS]
        assert centre
        answers.put(f"{n:040}", SCOPE, BODY, float(n + 1), changed(centre, chance))
        if n % 256 == 255:
            await written(answers, database)
    await written(answers, database)
    took_s = time.perf_counter() - began
    size = await asyncio.to_thread(path.stat)
    say(f"{rows:,} put in {took_s:.1f} s; {size.st_size >> 20} MiB")

    near_s, exact_s, packing_s = list[float](), list[float](), list[float]()
    right = 0
    for _ in range(ASKED):
        vector = [chance.gauss(0, 1) for _ in range(numbers)]
        at = time.perf_counter()
        pack(vector)
        packing_s.append(time.perf_counter() - at)
        centre = centres[chance.randrange(CLUSTERS)]
        assert centre
        wanted = changed(centre, chance)
        at = time.perf_counter()
        found = await answers.near(SCOPE, wanted, 0.0)
        near_s.append(time.perf_counter() - at)
        right += bool(found and found.similarity > 0.92)
        at = time.perf_counter()
        await answers.get([f"{chance.randrange(rows):040}"], 0.0)
        exact_s.append(time.perf_counter() - at)
    told("by meaning", near_s)
    told("by key", exact_s)
    told("packing a vector", packing_s)
    say(f"found one above 0.92: {right} of {ASKED}")
    say(f"resident: {psutil.Process().memory_info().rss >> 20} MiB")
    database.close()
    return int(p95(near_s) * 1000 > BAR_MS)


async def written(answers: Answers, database: Database) -> None:
    answers.flush()
    await database.read(lambda _: None, None)


def changed(centre: Packed, chance: random.Random) -> Packed:
    """Another of its cluster: one in sixty numbers, and some bits with them, are others."""
    body, bits = bytearray(centre.body), list(centre.bits)
    for _ in range(len(body) // 60):
        body[chance.randrange(len(body))] = body[chance.randrange(len(body))]
    for _ in range(8):
        bits[chance.randrange(len(bits))] ^= 1 << chance.randrange(64)
    return Packed(bytes(body), tuple(bits))


def p95(times_s: list[float]) -> float:
    return sorted(times_s)[int(len(times_s) * 0.95)]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def told(what: str, times_s: list[float]) -> None:
    middle = sorted(times_s)[len(times_s) // 2]
    say(f"{what}: p50 {middle * 1000:.1f} ms, p95 {p95(times_s) * 1000:.1f} ms")


if __name__ == "__main__":
    sys.exit(main())
