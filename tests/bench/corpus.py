"""50 MB of text whose words are as unevenly frequent as in a language, always the same."""

from __future__ import annotations

import random
from pathlib import Path

SIZE_BYTES = 50_000_000
SHARDS = 64
_VOCABULARY = 50_000
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def corpus(folder: Path) -> Path:
    """The text's file, written on the first call."""
    path = folder / f"corpus-{SIZE_BYTES}.txt"
    if path.exists():
        return path
    chance = random.Random(1949)
    words = _vocabulary(chance)
    weights = [1.0 / rank for rank in range(1, len(words) + 1)]
    totals: list[float] = []
    for weight in weights:
        totals.append(weight + (totals[-1] if totals else 0.0))
    part = path.with_suffix(".part")
    left = SIZE_BYTES
    with part.open("w") as file:
        while left > 0:
            text = " ".join(chance.choices(words, cum_weights=totals, k=100_000)) + " "
            left -= file.write(text[:left])
    part.replace(path)
    return path


def _vocabulary(chance: random.Random) -> list[str]:
    """Different words, the frequent ones short."""
    words: dict[str, None] = {}
    while len(words) < _VOCABULARY:
        length = 2 + int(len(words) ** 0.2) + chance.randrange(3)
        words["".join(chance.choices(_LETTERS, k=length))] = None
    return list(words)


def shards(text: bytes) -> list[bytes]:
    """The text cut at spaces into SHARDS pieces of about one size."""
    cuts = [text.index(b" ", i * len(text) // SHARDS) for i in range(1, SHARDS)]
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
