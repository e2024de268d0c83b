"""What a program left in its output folder. Nothing of it is alive any more, and nothing of what it
left is followed: plain files with one name each, or none at all."""

from __future__ import annotations

import json
import os
import shutil
import stat
from typing import Any

from nova_sandbox.inside.wire import CHUNK, send

MAX_DEPTH = 16
MAX_NAME = 500


class Unsafe(Exception):
    """Not to be taken."""


class TooMuch(Exception):
    """More than agreed."""


def collect(out: str, asked: dict[str, Any]) -> list[tuple[str, int]]:
    """Names and sizes of what is in `out`: regular files with one name each, or nothing at all."""
    found: list[tuple[str, int]] = []
    walk(out, "", 0, found, asked["files"])
    if sum(size for _, size in found) > asked["files_bytes"]:
        limit = asked["files_bytes"]
        raise TooMuch(f"the files in /out are more than {limit:,} bytes together")
    return found


def walk(folder: str, prefix: str, depth: int, found: list[tuple[str, int]], files: int) -> None:
    if depth > MAX_DEPTH:
        raise Unsafe(f"folders more than {MAX_DEPTH} deep")
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            shown = name[:100].encode("ascii", "backslashreplace").decode()
            info = entry.stat(follow_symlinks=False)
            if not entry.name.isprintable() or len(name) > MAX_NAME:
                raise Unsafe(f"a name that is too long or not printable: {shown}")
            if stat.S_ISDIR(info.st_mode):
                walk(entry.path, name + "/", depth + 1, found, files)
            elif not stat.S_ISREG(info.st_mode):
                raise Unsafe(f"{shown} is a link, device, pipe or socket, not a regular file")
            elif info.st_nlink != 1:
                raise Unsafe(f"{shown} is a hard link: the file has another name")
            else:
                found.append((name, info.st_size))
            if len(found) > files:
                raise TooMuch(f"more than {files} files in /out")


def send_files(out: str, found: list[tuple[str, int]], nonce: bytes) -> None:
    for name, size in found:
        fd = os.open(os.path.join(out, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            send(b"N", nonce, json.dumps({"name": name, "size": size}).encode())
            while size:
                data = os.read(fd, min(size, CHUNK)) or bytes(min(size, CHUNK))
                send(b"D", nonce, data)
                size -= len(data)
        finally:
            os.close(fd)


def empty(folder: str) -> None:
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            os.unlink(entry.path)
