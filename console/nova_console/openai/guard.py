"""Who may ask the endpoint. Pure.

Without a key it is for this machine, and a page of the web that a browser shows must not reach it: not by
a name that leads here (Host), not by a form (Content-Type), not as another site (Origin).
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping

from nova_client import Refused

from nova_console.openai.problems import Problem

JSON = "application/json"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_listen(host: str, has_key: bool, has_tls: bool) -> None:
    """Raises Refused: it would be open to others in clear text, or without a key."""
    if is_loopback(host) or (has_key and has_tls):
        return
    raise Refused(
        f"will not serve models on {host} without TLS and a key: whoever reaches it spends money",
        "listen on 127.0.0.1, or give --tls-cert, --tls-key and --key-file",
    )


def complaint(
    headers: Mapping[str, str], *, key: str, loopback: bool, has_body: bool
) -> Problem | None:
    """Why this request is not taken; None: it is. `key` "" asks for none."""
    if loopback and not is_loopback(_without_port(headers.get("Host", ""))):
        return Problem(
            403, "forbidden", "this Host is not this machine", "ask 127.0.0.1 or localhost"
        )
    origin = headers.get("Origin", "")
    if origin and not is_loopback(_without_port(origin.partition("://")[2])):
        return Problem(403, "forbidden", "pages of other sites may not ask here")
    if has_body and headers.get("Content-Type", "").partition(";")[0].strip() != JSON:
        return Problem(400, "invalid_argument", f"the Content-Type is not {JSON}", "send JSON")
    shown = headers.get("Authorization", "").removeprefix("Bearer ").strip()
    if key and not hmac.compare_digest(shown.encode(), key.encode()):
        return Problem(
            401, "unauthenticated", "the key is missing or wrong", "send Authorization: Bearer KEY"
        )
    return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
