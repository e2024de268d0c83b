"""How a command finds the web server that its user runs here: a file that its user alone can read."""

from __future__ import annotations

import http.client
import json
import os
import ssl
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from nova_client import Invalid, NotFound, Unreachable, errors, find

TIMEOUT_S = 10.0
REPLY_BYTES_MAX = 64 << 10
_START = "start one: nova console --web"


@contextmanager
def told(url: str, reach: tuple[str, int], key: str) -> Generator[None]:
    """While it is open. `url` is what browsers are sent to, `reach` where a command of this machine asks."""
    runtime = find.runtime_dir()
    if runtime is None:
        yield
        return
    folder = runtime / "web"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{reach[1]}.json"
    path.unlink(missing_ok=True)
    note = {"pid": os.getpid(), "url": url, "host": reach[0], "port": reach[1], "key": key}
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(note, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def ask_link(share: bool) -> tuple[str, float]:
    """A link to the newest server of this user here, and when it ends. Raises NovaError."""
    note = _newest()
    url, host, port, key = note["url"], note["host"], note["port"], note["key"]
    headers = {"Authorization": f"Bearer {key}", "Host": url.partition("//")[2]}
    with connection(host, port, url.startswith("https")) as wire:
        said = post(wire, "/links", {"share": share}, headers)
    return url + str(said["path"]), float(said["expires_at"])


def _newest() -> dict[str, Any]:
    runtime = find.runtime_dir()
    paths = sorted((runtime / "web").glob("*.json"), key=_changed_at) if runtime else []
    for path in reversed(paths):
        with suppress(OSError, ValueError):
            if path.stat().st_uid != os.geteuid():
                continue
            note: Any = json.loads(path.read_text())
            if {"pid", "url", "host", "port", "key"} <= note.keys() and _lives(note["pid"]):
                return note
    raise NotFound("no web server of yours runs here", _START)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@contextmanager
def connection(host: str, port: int, is_secure: bool) -> Generator[http.client.HTTPConnection]:
    """Who answers is not checked: that is for what is said over it. Raises Unreachable."""
    if is_secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        made = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    else:
        made = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        made.connect()
        yield made
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"no console answers at {host}:{port}: {error}", _START) from None
    finally:
        made.close()


def post(
    wire: http.client.HTTPConnection, path: str, body: object, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Raises the error that was answered, Invalid."""
    wire.request(
        "POST", path, json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
    )
    reply = wire.getresponse()
    text = reply.read(REPLY_BYTES_MAX)
    try:
        said: Any = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Invalid("what answers there is no Nova console", "see that the address is right")
    found = cast("dict[str, Any]", said)
    if reply.status >= 400:
        raise errors.from_code(
            str(found.get("code", "refused")),
            str(found.get("message", f"it was refused ({reply.status})")),
            str(found.get("fix", "")),
        )
    return found
