"""What browsers are sent that is the same for everybody: our pages, and textual-serve's terminal.

Rule: only the files named here, from memory; nothing comes from anywhere else.
"""

from __future__ import annotations

import gzip
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from nova_client import NovaError

_OWN = Path(__file__).parent / "assets"
_JS, _CSS, _FONT = "text/javascript", "text/css", "font/ttf"

OWN = {
    "page.js": _JS,
    "enter.js": _JS,
    "hop.js": _JS,
    "sw.js": _JS,
    "page.css": _CSS,
    "manifest.webmanifest": "application/manifest+json",
    "icon.svg": "image/svg+xml",
    "icon-192.png": "image/png",
    "icon-512.png": "image/png",
}
LENT = {
    "textual.js": ("js/textual.js", _JS),
    "xterm.css": ("css/xterm.css", _CSS),
    "RobotoMono.ttf": ("fonts/RobotoMono-VariableFont_wght.ttf", _FONT),
}


class Asset(NamedTuple):
    type: str
    body: bytes
    packed: bytes
    etag: str


def load() -> dict[str, Asset]:
    """By file name. Raises NovaError when textual-serve is not installed."""
    found = find_spec("textual_serve")
    if found is None or found.origin is None:
        raise NovaError("textual-serve is not installed", "install nova-mesh whole, with pip")
    static = Path(found.origin).parent / "static"
    paths = {name: (_OWN / name, kind) for name, kind in OWN.items()}
    paths |= {name: (static / path, kind) for name, (path, kind) in LENT.items()}
    return {name: _asset(path.read_bytes(), kind) for name, (path, kind) in paths.items()}


def page(name: str) -> str:
    """The HTML of one of our pages."""
    return (_OWN / f"{name}.html").read_text()


def _asset(body: bytes, kind: str) -> Asset:
    return Asset(kind, body, gzip.compress(body, 6), hashlib.sha256(body).hexdigest()[:32])
