"""A root file system from this machine's own Python: no registry, no internet.

It holds the interpreter, its standard library, a shell with a few tools, every shared library that
those need, and nothing else of the machine: no configuration, no account, no other program.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from nova_sandbox.errors import NotOffered

LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3"}
LEFT_OUT_PREFIXES = ("site-packages", "dist-packages", "config-", "pydoc_data")
TOOLS = """
sh basename cat cp cut date dirname echo env expr false find grep head id ln ls mkdir mv
printf pwd rm rmdir sed seq sleep sort stat tail tar tee test touch tr true uname uniq wc xargs
gzip awk diff
"""
NEEDED = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x")
SITE = "usr/local/lib/nova-site"
FOLDERS = ("tmp", "out", "proc", "sys", "dev", "etc", "usr/local/bin", "bin")
TEXTS = {
    "etc/passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def write(archive: Path, packages: Path | None) -> None:
    """Writes the root file system as a tar; `packages` is a folder of installed wheels, or None."""
    if sys.platform != "linux" or shutil.which("ldd") is None:
        raise NotOffered(
            "only a Linux machine with ldd can make an image of its own Python",
            "use an image that is here already: --image NAME@sha256:DIGEST",
        )
    with tarfile.open(archive, "w") as tar:
        root = _Root(tar)
        for folder in FOLDERS:
            root.folder(folder)
        for name, text in TEXTS.items():
            root.text(name, text)
        root.python()
        root.tools()
        if packages:
            root.tree(packages, SITE)
        root.libraries()


def install(requirements: Path, wheels: Path | None, target: Path) -> None:
    """Installs wheels into `target`; from the folder `wheels` alone when it is given."""
    source = ["--no-index", "--find-links", str(wheels)] if wheels else []
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    command += ["--no-compile", "--disable-pip-version-check", "--target", str(target)]
    run = subprocess.run(
        [*command, *source, "-r", str(requirements)], capture_output=True, text=True, timeout=600
    )
    if run.returncode:
        raise NotOffered(
            f"pip could not install {requirements}: {run.stderr.strip()[-500:]}",
            "put a wheel of every package, with what it needs, into one folder: --wheels FOLDER",
        )


class _Root:
    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self._programs: list[Path] = []
        self._done: set[str] = set()

    def folder(self, name: str) -> None:
        parent = os.path.dirname(name)
        if parent:
            self.folder(parent)
        if name not in self._done:
            self._done.add(name)
            self._add(name, tarfile.DIRTYPE, 0o1777 if name in ("tmp", "out") else 0o755)

    def text(self, name: str, text: str) -> None:
        self._add(name, tarfile.REGTYPE, 0o644, text.encode())

    def file(self, source: Path, name: str) -> None:
        if name in self._done:
            return
        self._done.add(name)
        self.folder(os.path.dirname(name))
        real = source.resolve()
        runs = os.access(real, os.X_OK)
        mode = 0o755 if runs else 0o644
        self._add(name, tarfile.REGTYPE, mode, real.read_bytes(), int(real.stat().st_mtime))
        if runs or ".so" in real.name:
            self._programs.append(real)

    def _add(self, name: str, kind: bytes, mode: int, data: bytes = b"", mtime: int = 0) -> None:
        info = tarfile.TarInfo(name)
        info.type, info.mode, info.size = kind, mode, len(data)
        info.mtime = mtime  # compiled modules count only beside a source of the same time
        self._tar.addfile(info, io.BytesIO(data) if data else None)

    def tree(self, source: Path, target: str) -> None:
        for path in sorted(_wanted(source)):
            self.file(path, f"{target}/{path.relative_to(source)}")

    def python(self) -> None:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        executable = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        self.file(executable, "usr/local/bin/python3")
        self.tree(Path(sysconfig.get_path("stdlib")), f"usr/local/lib/{version}")
        extensions = Path(sysconfig.get_config_var("DESTSHARED"))
        self.tree(extensions, f"usr/local/lib/{version}/lib-dynload")
        self.folder(SITE)
        self.text(f"usr/local/lib/{version}/site-packages/nova.pth", f"/{SITE}\n")
        self.text(f"usr/local/lib/{version}/dist-packages/nova.pth", f"/{SITE}\n")

    def tools(self) -> None:
        for tool in TOOLS.split():
            if found := shutil.which(tool, path="/usr/bin:/bin"):
                self.file(Path(found), f"bin/{tool}")

    def libraries(self) -> None:
        """What the programs need, all beside libc, where the loader looks first."""
        needed = _needed(self._programs)
        beside = next(p for p in needed if p.name.startswith(("libc.so", "libc.musl"))).parent
        for path in needed:
            loader = path.name.startswith(("ld-", "ld64"))
            self.file(path, str(path if loader else beside / path.name).lstrip("/"))


def _wanted(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.is_dir():
            if entry.name not in LEFT_OUT and not entry.name.startswith(LEFT_OUT_PREFIXES):
                yield from _wanted(Path(entry.path))
        elif entry.is_file() and not entry.name.endswith((".opt-1.pyc", ".opt-2.pyc", ".a")):
            yield Path(entry.path)


def _needed(programs: Iterable[Path]) -> list[Path]:
    """Shared libraries by the loader's own account, one for each name."""
    elf = [p for p in programs if _head(p) == b"\x7fELF"]
    found: dict[str, Path] = {}
    for begin in range(0, len(elf), 50):
        run = subprocess.run(
            ["ldd", *map(str, elf[begin : begin + 50])], capture_output=True, text=True, timeout=60
        )
        for match in NEEDED.finditer(run.stdout):
            found.setdefault(Path(match[1]).name, Path(match[1]))
    if not found:
        raise NotOffered(
            "this machine's Python names no shared libraries",
            "use an image that has python3: nova-sandbox run --image NAME@sha256:DIGEST",
        )
    return [found[name] for name in sorted(found)]


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)
