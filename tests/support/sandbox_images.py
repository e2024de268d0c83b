"""Images for tests, made and removed."""

from __future__ import annotations

from pathlib import Path

from nova_sandbox.engine import Engine
from nova_sandbox.image import Image, build_from_host, reference


async def make_image(
    url: str,
    name: str,
    labels: dict[str, str] | None = None,
    requirements: Path | None = None,
    wheels: Path | None = None,
) -> Image:
    engine = Engine(url)
    try:
        return await build_from_host(engine, name, labels, requirements, wheels)
    finally:
        await engine.close()


async def drop_image(url: str, name: str) -> None:
    engine = Engine(url)
    try:
        await engine.remove_image(reference(name))
    finally:
        await engine.close()
