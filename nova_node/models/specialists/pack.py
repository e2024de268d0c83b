"""A prompt pack: what makes a model a specialist. A data file each, in the folder packs."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nova_node.models.specialists.chunks import Chunk

PACKS = Path(__file__).with_name("packs")


@dataclass(frozen=True, slots=True)
class Pack:
    """`version` changes with every change of a text: what was answered before is then asked anew."""

    name: str
    version: int
    #: who the model is
    role: str
    #: what to look for, one a line
    looks_for: Sequence[str]
    #: what to leave alone
    leaves: Sequence[str]
    #: what each severity means here
    severities: dict[str, str]
    #: what belongs into a suggestion
    suggestion: str
    needs_suggestion: bool


@cache
def pack(name: str) -> Pack:
    """Such as review.code."""
    return Pack(name, **tomllib.loads((PACKS / f"{name}.toml").read_text()))


@cache
def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in PACKS.glob("*.*.toml")))


@cache
def common() -> dict[str, str]:
    return tomllib.loads((PACKS / "common.toml").read_text())


def system(of: Pack) -> str:
    return (
        common()["system"]
        .format(
            role=of.role.strip(),
            looks_for=_listed(of.looks_for),
            leaves=_listed(of.leaves),
            severities=_listed([f"{name}: {text}" for name, text in of.severities.items()]),
            suggestion=of.suggestion.strip(),
        )
        .strip()
    )


def question(chunk: Chunk, about: str, changed: bool) -> str:
    how = common()["diff" if changed else "files"].strip()
    told = common()["about"].format(about=about.strip()) if about.strip() else ""
    return common()["question"].format(how=how, about=told.strip(), files=chunk.text).strip()


def _listed(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)
