"""Nodes that share a container engine of their own, and what is to be seen of their containers there.

Where no engine can be started, tests that want one fail in CI and are skipped elsewhere.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import Any

import docker
import pytest
from nova_sandbox.image import DEFAULT, reference
from nova_sandbox.lease import NODE as NODE_LABEL
from support.dockerd import Dockerd, possible
from support.sandbox_images import make_image

MODULE = "nova_node.capabilities.sandboxed"


@contextmanager
def engine_with_images() -> Generator[Dockerd]:
    """With an image from this machine's Python, under two names."""
    if reason := possible():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    dockerd = Dockerd()
    try:
        dockerd.start()
        asyncio.run(make_image(dockerd.url, DEFAULT))
        with closing(api(dockerd)) as client:
            client.tag(reference(DEFAULT), "nova-sandbox", "second")
        yield dockerd
    finally:
        dockerd.stop()


def api(dockerd: Dockerd) -> Any:
    return docker.APIClient(base_url=dockerd.url, version="auto", timeout=30)


def options(dockerd: Dockerd, place: str, slots: int = 1, images: str = DEFAULT) -> list[str]:
    return [
        *("--slots", str(slots), "--capability", MODULE, "--label", f"place={place}"),
        *("--set", f"sandbox.engine={dockerd.url}", "--set", f"sandbox.images={images}"),
    ]


def running(dockerd: Dockerd, node: str) -> set[str]:
    """Ids of the containers of a node that run."""
    with closing(api(dockerd)) as client:
        found = client.containers(filters={"label": f"{NODE_LABEL}={node}"})
        return {each["Id"] for each in found}


def left(dockerd: Dockerd, node: str) -> list[str]:
    """What there is of a node's containers, running or not."""
    with closing(api(dockerd)) as client:
        found = client.containers(all=True, filters={"label": f"{NODE_LABEL}={node}"})
        return [each["State"] for each in found]
