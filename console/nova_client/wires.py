"""The channels of one client: home, and nodes that hold a blob home does not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nova_proto.v1 import nodes_pb2

from nova_client import blobs, errors
from nova_client.channel import Wire
from nova_client.model import BlobRef

_LIST_TIMEOUT_S = 10.0


class Wires:
    def __init__(self, address: str, credentials: Any) -> None:
        self._credentials = credentials
        self.home = Wire(address, credentials)

    async def close(self) -> None:
        await self.home.close()

    async def put_blob(self, data: bytes | str | Path) -> BlobRef:
        pieces = blobs.cut(data) if isinstance(data, bytes) else blobs.read_file(Path(data))
        return await self.put_pieces(pieces)

    async def put_pieces(self, pieces: Iterator[bytes]) -> BlobRef:
        return await blobs.put(self.home, pieces)

    async def get_blob(self, ref: BlobRef) -> bytes:
        """From home, else from a holder that home knows the address of."""
        try:
            return await _joined(self.home, ref)
        except errors.NotFound as missing:
            request = nodes_pb2.ListNodesRequest()
            reply = await self.home.call(self.home.nodes.List, request, _LIST_TIMEOUT_S)
            for node in reply.nodes:
                if node.member.node not in ref.holders or node.self:
                    continue
                wire = Wire(node.member.address, self._credentials)
                try:
                    return await _joined(wire, ref)
                except (errors.NotFound, errors.Unreachable):
                    continue
                finally:
                    await wire.close()
            raise missing from None


async def _joined(wire: Wire, ref: BlobRef) -> bytes:
    return b"".join([chunk async for chunk in blobs.get(wire, ref)])
