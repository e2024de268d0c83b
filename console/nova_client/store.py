"""The half of a client that puts bytes and files on the mesh, and gets them from there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nova_client import decode
from nova_client.errors import Unreachable
from nova_client.files import Packer, unpack, walk
from nova_client.model import BlobRef, Files

if TYPE_CHECKING:
    from nova_client.wires import Wires


class Store:
    _wires: Wires | None = None

    def _opened_wires(self) -> Wires:
        """Raises Unreachable when the client is not open."""
        if self._wires is None:
            raise closed()
        return self._wires

    async def put_blob(self, data: bytes | str | Path, *, sensitive: bool = False) -> BlobRef:
        """Store bytes, or the file at a path, on the node. Sensitive ones are encrypted on every
        disk; raises Refused when the node has no key for that."""
        return await self._opened_wires().put_blob(data, sensitive)

    async def put_files(
        self, paths: Iterable[str | Path] | Mapping[str, Path], *, sensitive: bool = False
    ) -> Files:
        """Store files, and folders with every file below them, as one blob; give the result as an
        input to any number of tasks. Names start with the last part of each path given; a mapping
        of names to files is taken as it is. `sensitive` as in put_blob.
        Raises Invalid: nothing there, unreadable, or more than 100,000 files."""
        wires = self._opened_wires()
        if isinstance(paths, Mapping):
            packer = Packer(cast("Mapping[str, Path]", paths).items())
        else:
            given = [paths] if isinstance(paths, str | Path) else paths
            packer = Packer(await asyncio.to_thread(walk, given))
        return packer.files(await wires.put_pieces(packer.pieces(), sensitive))

    async def get_blob(self, ref: BlobRef) -> bytes:
        """The checked bytes. Raises NotFound when no node that should hold it does."""
        return await self._opened_wires().get_blob(ref)

    async def get_files(self, files: Files, folder: str | Path) -> None:
        """Save the files of an outcome below a folder, which is made. Raises NotFound, or Invalid:
        there is such a file already."""
        data = await self.get_blob(files.blobs[0]) if files.blobs else b""
        await asyncio.to_thread(unpack, files, data, Path(folder))

    async def fetch(self, ref: BlobRef) -> Any:
        """What the blob holds: a JSON value or bytes."""
        data = await self.get_blob(ref)
        return decode.parse_json(data) if ref.json else data


def closed() -> Unreachable:
    return Unreachable("the client is not open", "use it as `async with Client() as c:`")
