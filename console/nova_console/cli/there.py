"""A node of the mesh, named as people name it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from nova_client import Client, Invalid, NotFound


@asynccontextmanager
async def client_of(client: Client, name: str) -> AsyncGenerator[Client]:
    """An open client of the node with this name or beginning of an id; "": the one at hand. Raises
    NotFound, Invalid when several are meant, or what opening raises."""
    if not name:
        yield client
        return
    nodes = (await client.nodes()).nodes
    found = [v for v in nodes if v.name == name] or [v for v in nodes if v.node.startswith(name)]
    if not found:
        raise NotFound(f"no node is called {name}", "see `nova nodes`")
    if len(found) > 1:
        ids = ", ".join(view.node[:8] for view in found)
        raise Invalid(f"{len(found)} nodes are called {name}", f"use one of their ids: {ids}")
    if found[0].node == client.node:
        yield client
        return
    async with Client(found[0].address) as there:
        yield there
