"""The source tree as data: which files there are and what each module imports."""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = {
    "nova_node": ROOT / "nova_node",
    "nova_client": ROOT / "console" / "nova_client",
    "nova_console": ROOT / "console" / "nova_console",
    "nova_sandbox": ROOT / "sandbox" / "nova_sandbox",
    "nova_proto.identity": ROOT / "proto" / "nova_proto" / "identity",
}
"""Written by hand; the rest of nova_proto is generated."""


@cache
def files() -> tuple[Path, ...]:
    """Every file that is committed or could be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(p for name in sorted(listed.split("\0")) if name and (p := ROOT / name).is_file())


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of the packages written by hand."""
    found: dict[str, Path] = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports anywhere in it, TYPE_CHECKING and functions included.

    `import a.b` gives a.b; `from a import b` gives a.b, whether b is a module or a name in a."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{above}.{base}".rstrip(".")
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return frozenset(found)


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")
