"""Many files as one run of bytes: names in a fixed order, contents one after the other.

Thousands of small files so cost one upload. Reading blocks: call off the event loop.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from nova_client.errors import Invalid
from nova_client.model import BlobRef, Extent, Files

FILES_MAX = 100_000
PIECE_BYTES = 1 << 20


def walk(paths: Iterable[str | Path]) -> list[tuple[str, Path]]:
    """(name, path) of every file at and below `paths`, sorted by name, always the same.

    A name starts with the last part of the path given ("docs/a/b.txt" for "/home/me/docs").
    Links to files are read; links to folders, broken links and devices are left out.
    Raises Invalid: nothing there, no file at all, more than 100,000, or two of one name."""
    found: dict[str, Path] = {}
    for given in paths:
        top = Path(given)
        base = Path(os.path.abspath(top))
        for path in _below(top):
            below = path.relative_to(top).as_posix() if path != top else ""
            name = f"{base.name}/{below}" if below else base.name
            if found.setdefault(name, path) is not path:
                raise _twice(name, found[name], path)
            if len(found) > FILES_MAX:
                raise Invalid(
                    f"more than {FILES_MAX:,} files below {str(given)!r}",
                    "pack them into an archive first, or submit folder by folder",
                )
    if not found:
        raise Invalid("there is no file in what was given", "name a file, or a folder with files")
    for name in found:
        _check_text(name)
    return sorted(found.items())


def _below(top: Path) -> Iterator[Path]:
    if top.is_file():
        yield top
    elif top.is_dir():
        for folder, _, names in os.walk(top, onerror=_raise):
            for name in names:
                path = Path(folder, name)
                if path.is_file():
                    yield path
    else:
        raise Invalid(f"there is no file or folder {str(top)!r}", "check the path")


def _raise(error: OSError) -> None:
    raise _unreadable(error)


class Packer:
    """Reads files into pieces of 1 MiB and remembers where each begins and ends."""

    def __init__(self, files: Iterable[tuple[str, Path]]) -> None:
        self._files = files
        self._runs: list[tuple[str, int, int]] = []

    def pieces(self) -> Iterator[bytes]:
        """Raises Invalid when a file cannot be read."""
        piece = bytearray()
        offset = 0
        for name, path in self._files:
            start = offset
            try:
                with path.open("rb", buffering=0) as file:
                    while data := file.read(PIECE_BYTES - len(piece)):
                        offset += len(data)
                        if len(data) == PIECE_BYTES:
                            yield data
                            continue
                        piece += data
                        if len(piece) == PIECE_BYTES:
                            yield bytes(piece)
                            piece.clear()
            except OSError as error:
                raise _unreadable(error) from None
            self._runs.append((name, start, offset - start))
        if piece:
            yield bytes(piece)

    def files(self, blob: BlobRef) -> Files:
        """What was read, now that it is stored as `blob`."""
        extents = (Extent(name, blob.id, offset, size) for name, offset, size in self._runs)
        return Files(tuple(extents), (blob,))


def unpack(files: Files, data: bytes, folder: Path) -> None:
    """Write files whose blob holds `data` below a folder: never through a link, nor over another.

    Raises Invalid: a name that leads elsewhere, a file that is there, or a disk that takes no more."""
    for extent in files.extents:
        name, start = extent.name, extent.offset
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts) or "\\" in name or not name.isprintable():
            raise Invalid(f"the task named a file {name[:100]!r}", "do not trust it")
        path = folder.joinpath(*parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
                file.write(data[start : start + extent.size_bytes])
        except OSError as error:
            raise Invalid(
                f"cannot write {str(path)!r}: {error.strerror}", "give an empty folder"
            ) from None


def _check_text(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Invalid(f"the file name {name!r} is not UTF-8", "rename the file") from None


def _twice(name: str, one: Path, other: Path) -> Invalid:
    return Invalid(
        f"{str(one)!r} and {str(other)!r} would both be called {name!r}",
        "give the folder that holds them both, or rename one",
    )


def _unreadable(error: OSError) -> Invalid:
    return Invalid(
        f"cannot read {error.filename!r}: {error.strerror}", "check that it is there and readable"
    )
