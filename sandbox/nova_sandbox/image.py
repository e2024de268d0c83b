"""Images by name, and what pins them: an image is started by its id, which is a digest.

A name is ours (`host`, `science`), or a reference with a digest (`NAME@sha256:...`). Nothing is ever
fetched: an image that is not on this machine is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nova_sandbox import rootfs
from nova_sandbox.engine import Engine
from nova_sandbox.errors import EngineUnavailable, NotOffered

DEFAULT = "host"
REPOSITORY = "nova-sandbox"
LABEL = "nova.image"
LABEL_PREFIX = "nova.image."
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
LABEL_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
PINNED = re.compile(r"[\w./:-]+@sha256:[0-9a-f]{64}|sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Image:
    name: str
    id: str
    """`sha256:...` of its content and configuration."""
    labels: dict[str, str]
    """For whoever places work."""
    size_bytes: int


def reference(name: str) -> str:
    """How the engine calls it. Raises NotOffered for what is neither ours nor pinned."""
    if NAME.fullmatch(name):
        return f"{REPOSITORY}:{name}"
    if PINNED.fullmatch(name):
        return name
    raise NotOffered(
        f"{name!r} is neither a name made by `image build` nor pinned by a digest",
        "write NAME@sha256:DIGEST; docker images --digests shows it",
    )


async def find(engine: Engine, name: str) -> Image:
    """Raises ImageMissing, NotOffered."""
    return _read(name, await engine.image(reference(name)))


async def listed(engine: Engine) -> list[Image]:
    """Those that `build` made."""
    return [
        _read(tag.partition(":")[2], found)
        for found in await engine.images(LABEL)
        for tag in found.get("RepoTags") or ()
        if tag.startswith(REPOSITORY + ":")
    ]


async def build_from_host(
    engine: Engine,
    name: str = DEFAULT,
    labels: dict[str, str] | None = None,
    requirements: Path | None = None,
    wheels: Path | None = None,
) -> Image:
    """Makes an image from this machine's Python, with packages from wheels if asked to."""
    if not NAME.fullmatch(name):
        raise NotOffered(f"{name!r} is no image name", "use small letters, digits, . _ and -")
    for key, value in (labels or {}).items():
        if not LABEL_KEY.fullmatch(key) or not re.fullmatch(r"[\w.:/+-]{0,200}", value):
            raise NotOffered(f"{key}={value} is no label", "use letters, digits, . _ : / + and -")
    lines = [f"LABEL {LABEL}={name}"]
    lines += [f"LABEL {LABEL_PREFIX}{key}={value}" for key, value in (labels or {}).items()]
    with tempfile.TemporaryDirectory(prefix="nova-image-") as folder:
        await engine.info()  # before the long part
        archive = Path(folder) / "root.tar"
        await asyncio.to_thread(_pack, archive, Path(folder), requirements, wheels)
        before = [known.id for known in await listed(engine) if known.name == name]
        await engine.import_image(str(archive), REPOSITORY, name, lines)
    for old in before:
        with contextlib.suppress(EngineUnavailable):  # somebody runs it: then it stays
            await engine.remove_image(old)
    return await find(engine, name)


def _pack(archive: Path, folder: Path, requirements: Path | None, wheels: Path | None) -> None:
    packages = None
    if requirements:
        packages = folder / "packages"
        rootfs.install(requirements, wheels, packages)
    rootfs.write(archive, packages)


def _read(name: str, found: dict[str, Any]) -> Image:
    labels: dict[str, str] = found.get("Labels") or found.get("Config", {}).get("Labels") or {}
    own = {k.removeprefix(LABEL_PREFIX): v for k, v in labels.items() if k.startswith(LABEL_PREFIX)}
    return Image(name, found["Id"], own, found["Size"])
