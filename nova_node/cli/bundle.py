"""`bundle`: what helps somebody else to see what is wrong here, and nothing that is secret.

Rule: only what is listed in `_parts` goes in; folders are never copied. The texts that do go in
are searched for tokens and keys once more.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nova_node.cli.options import config_options, load_config
from nova_node.core.errors import NovaError, Unavailable

if TYPE_CHECKING:
    from nova_node.config import Loaded

AUDIT_LINES = 1000
ASK_TIMEOUT_S = 5.0
PACKAGES = ("nova-mesh", "grpcio", "protobuf", "cryptography", "zeroconf", "psutil", "click")

_SECRETS = re.compile(
    r"nova1\.[^\s\"']+"
    r"|-----BEGIN [A-Z ]+-----.*?(-----END [A-Z ]+-----|$)"
    r"|(?<=://)[^/\s\"':@]+:[^/\s\"'@]+(?=@)",
    re.DOTALL,
)
_AUDIT_TEXTS = frozenset({"who", "from", "what", "subject", "code", "capability", "role", "prev"})
_READ_ME = """Diagnostics of a Nova node, made by `nova-node bundle`.

about.json    versions and platform
config.json   each setting, its value and where it came from
status.json   what the nodes that run on this machine say of themselves
members.json  what they know of their mesh
doctor.json   what `nova-node doctor` finds
sizes.json    bytes and files in each folder of the data directory
audit.jsonl   the last lines of the audit log: who did what to which task, and from where

Not in here: keys, certificates, tokens, secrets, arguments and results of tasks, blobs, journal,
environment variables. Names, ids and addresses of nodes and members are in here.
"""


@click.command()
@click.option("--out", metavar="FILE", help="[default: nova-bundle-TIME.tar.gz]")
@config_options
def bundle(out: str | None, **given: Any) -> None:
    """Collect diagnostics in one file to give to others: no keys, tokens, secrets or data."""
    loaded = load_config(given)
    path = Path(out or time.strftime("nova-bundle-%Y%m%dT%H%M%S.tar.gz"))
    click.echo("looking around, for some 5 s ...", err=True)
    files = {"README.txt": _READ_ME}
    for name, collect in _parts(loaded).items():
        files[name] = redacted(_collected(collect))
    _write(path, files)
    click.echo(str(path))
    click.echo(f"next: look into it (tar tzf {path}), then give it to whoever helps you", err=True)


def redacted(text: str) -> str:
    """Without what looks like a token, a key, or a password in a URL."""
    return _SECRETS.sub("[redacted]", text)


def _parts(loaded: Loaded) -> dict[str, Callable[[], str]]:
    folder = loaded.config.storage.data_dir
    return {
        "about.json": lambda: _json(_about()),
        "config.json": lambda: _json(_config(loaded)),
        "status.json": lambda: _json(_asked("status")),
        "members.json": lambda: _json(_asked("members")),
        "doctor.json": lambda: _json(_doctor(loaded)),
        "sizes.json": lambda: _json(_sizes(folder)),
        "audit.jsonl": lambda: _audit(folder),
    }


def _collected(collect: Callable[[], str]) -> str:
    """A part that fails says so, and the others are there all the same."""
    try:
        return collect()
    except NovaError as error:
        return _json({"error": error.message, "fix": error.fix})
    except Exception as error:
        return _json({"error": f"{type(error).__name__}: {error}"})


def _json(values: object) -> str:
    return json.dumps(values, indent=2, default=str) + "\n"


# ---------------------------------------------------------------- the parts


def _about() -> dict[str, Any]:
    from importlib.metadata import PackageNotFoundError, version

    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "made_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": sys.version,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": versions,
    }


def _config(loaded: Loaded) -> dict[str, Any]:
    settings = [
        {"key": key, "value": value, "origin": origin} for key, value, origin in loaded.given
    ]
    return {"settings": settings, "warnings": loaded.warnings}


def _asked(what: str) -> list[Any]:
    from nova_node.adapters import local_nodes, nodes_grpc

    ask: Callable[..., Any] = getattr(nodes_grpc, what)
    answers: list[Any] = []
    for node in local_nodes.running(local_nodes.nodes_dir()):
        try:
            answers.append({"asked": node.address, what: ask(node.asked_at, ASK_TIMEOUT_S)})
        except NovaError as error:
            answers.append({"asked": node.address, "error": error.message})
    return answers


def _doctor(loaded: Loaded) -> dict[str, Any]:
    import asyncio

    from nova_node.doctor import decide, report
    from nova_node.doctor.gather import gather

    config = loaded.config
    return report.as_json(decide.findings(asyncio.run(gather(config, config.discovery.peers))))


def _sizes(folder: Path) -> dict[str, Any]:
    found: dict[str, dict[str, int]] = {}
    for parent, _, names in os.walk(folder):
        top = Path(parent).relative_to(folder).parts[:1]
        sizes = found.setdefault(top[0] if top else ".", {"files": 0, "bytes": 0})
        for name in names:
            try:
                sizes["bytes"] += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
            sizes["files"] += 1
    return {"data_dir": str(folder), "folders": found}


def _audit(folder: Path) -> str:
    from nova_node.audit.log import tail

    lines = [_known(values) for values in tail(folder, AUDIT_LINES)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers, and the texts that are known to be no one's data."""
    return {
        key: value
        for key, value in values.items()
        if isinstance(value, int | float) or key in _AUDIT_TEXTS
    }


# ---------------------------------------------------------------- the file


def _write(path: Path, files: Mapping[str, str]) -> None:
    """Readable for this user only. Raises Unavailable."""
    import tarfile

    now = int(time.time())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with (
            os.fdopen(handle, "wb") as out,
            tarfile.open(fileobj=out, mode="w:gz") as archive,
        ):
            for name, text in files.items():
                data = text.encode(errors="replace")
                info = tarfile.TarInfo(f"nova-bundle/{name}")
                info.size, info.mtime, info.mode = len(data), now, 0o600
                archive.addfile(info, io.BytesIO(data))
    except OSError as error:
        why = error.strerror or str(error)
        raise Unavailable(f"cannot write {path}: {why}", "name another file with --out") from error
