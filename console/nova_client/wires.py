"""The channels of one client: home, and nodes that hold a blob or own a task that home does not."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nova_proto.v1 import nodes_pb2, tasks_pb2

from nova_client import blobs, errors
from nova_client.channel import Wire
from nova_client.find import Access
from nova_client.model import BlobRef

_LIST_TIMEOUT_S = 10.0


class Wires:
    def __init__(self, way: Access) -> None:
        self._way = way
        self.home = Wire(way.address, way.node, way.identity)
        #: made of the identity that it is kept with
        self._signer: tuple[Any, Any] = (None, None)

    async def renew(self, way: Access) -> None:
        """The same node, with a new certificate of ours."""
        self._way = way
        if way.identity is not None:
            await self.home.renew(way.identity)

    async def close(self) -> None:
        await self.home.close()

    async def put_blob(self, data: bytes | str | Path, sensitive: bool = False) -> BlobRef:
        pieces = blobs.cut(data) if isinstance(data, bytes) else blobs.read_file(Path(data))
        return await self.put_pieces(pieces, sensitive)

    async def put_pieces(self, pieces: Iterator[bytes], sensitive: bool = False) -> BlobRef:
        return await blobs.put(self.home, pieces, sensitive=sensitive)

    async def get_blob(self, ref: BlobRef) -> bytes:
        """From home, else from a holder that home knows the address of."""
        try:
            return await _joined(self.home, ref)
        except errors.NotFound as missing:
            for node in await self._nodes():
                if node.member.node not in ref.holders or node.self:
                    continue
                wire = Wire(node.member.address, node.member.node, self._way.identity)
                try:
                    return await _joined(wire, ref)
                except (errors.NotFound, errors.Unreachable):
                    continue
                finally:
                    await wire.close()
            raise missing from None

    @asynccontextmanager
    async def to_owner(self, task: str, home: str) -> AsyncGenerator[Wire]:
        """A wire to the node that owns a task; `home` is the id of the one at home. In a mesh without
        identity that one passes on what is asked of another."""
        tag = task.rpartition("-")[0]
        if self._way.identity is not None and not home.startswith(tag):
            for node in await self._nodes():
                if node.member.node.startswith(tag):
                    wire = Wire(node.member.address, node.member.node, self._way.identity)
                    try:
                        yield wire
                    finally:
                        await wire.close()
                    return
        yield self.home

    async def _nodes(self) -> Sequence[nodes_pb2.NodeView]:
        request = nodes_pb2.ListNodesRequest()
        return (await self.home.call(self.home.nodes.List, request, _LIST_TIMEOUT_S)).nodes

    def sign(self, submit: tasks_pb2.SubmitRequest, owner: str) -> None:
        """In a mesh with identity: that this person asks this owner for these calls, now."""
        identity = self._way.identity
        if identity is None:
            return
        if self._signer[0] is not identity:
            from nova_proto.identity.mandate import Signer

            self._signer = (identity, Signer.of(identity))
        submit.mandate = self._signer[1].sign(submit, owner, time.time())


async def _joined(wire: Wire, ref: BlobRef) -> bytes:
    return b"".join([chunk async for chunk in blobs.get(wire, ref)])
