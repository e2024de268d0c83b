"""A real engine, and an image made from this machine's Python.

The engine is the one that answers, or one that is started for the tests. In CI its absence is a
failure; elsewhere the tests that need it are skipped, with the reason.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from nova_sandbox import PoolSize, Sandbox
from nova_sandbox.engine import DEFAULT_URL
from nova_sandbox.image import Image
from support.dockerd import Dockerd, answers, possible
from support.sandbox_images import drop_image, make_image
from support.sandbox_runs import SandboxHost


def none_here(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine_url() -> Iterator[str]:
    url = os.environ.get("DOCKER_HOST") or DEFAULT_URL
    if url.startswith("unix://") and answers(url):
        yield url
        return
    if reason := possible():
        none_here(reason)
    dockerd = Dockerd()
    try:
        dockerd.start()
        yield dockerd.url
    finally:
        dockerd.stop()


@pytest.fixture(scope="session")
def image(engine_url: str) -> Iterator[Image]:
    made = asyncio.run(make_image(engine_url, "tests", {"purpose": "tests"}))
    yield made
    asyncio.run(drop_image(engine_url, made.name))


OpenSandbox = Callable[..., Sandbox]


@pytest.fixture
def sandbox(engine_url: str, image: Image) -> OpenSandbox:
    """Makes sandboxes on the real engine, without the self-test, which has tests of its own."""

    def make(**changes: Any) -> Sandbox:
        settings: dict[str, Any] = {"image": image.name, "self_test": False, **changes}
        return Sandbox(engine=engine_url, **settings)

    return make


@pytest.fixture(scope="module")
def host(engine_url: str, image: Image) -> Iterator[SandboxHost]:
    """One open sandbox for a module of tests."""
    pool = PoolSize(min_warm=2)
    opened = Sandbox(engine=engine_url, image=image.name, self_test=False, pool=pool)
    with SandboxHost(opened) as host:
        yield host
