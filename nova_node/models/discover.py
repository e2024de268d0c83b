"""Model servers that listen on this machine's usual ports: who answers there, and with which models.

Rule: loopback only, a short time, a bounded answer; what is no model server is left alone.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

from nova_node.models.spec import NAME_LENGTH, OPENAI, Spec

TIMEOUT_S = 0.3
ANSWER_MAX_BYTES = 1 << 20
MODELS_MAX = 64
HOST = "127.0.0.1"
NEARBY = "models.nearby"
"""The setting by which a node tells what it saw, to a process that need not look for itself then."""

OK, SERVICE_UNAVAILABLE = 200, 503


class Server(NamedTuple):
    """`is_its` tells a row of /v1/models from that of another program on the same port."""

    name: str
    port: int
    is_its: Callable[[Mapping[str, Any]], bool]


def _owned_by(*owners: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: row.get("owned_by") in owners


def _any(row: Mapping[str, Any]) -> bool:
    return True


SERVERS = (
    Server("Ollama", 11434, _any),
    Server("llama.cpp", 8080, _owned_by("llamacpp")),
    Server("vLLM", 8000, _owned_by("vllm")),
)


class Busy(Exception):
    """Somebody is there, and answers perhaps later."""


def discover(servers: Iterable[Server] = SERVERS) -> list[Spec]:
    """What they offer, in the order of the servers. Blocks for TIMEOUT_S each at most, or a little more;
    where nobody listens, for no time."""
    found: list[Spec] = []
    for server in servers:
        with suppress(Busy, OSError):
            socket.create_connection((HOST, server.port), TIMEOUT_S).close()
            found += ask(server) or ()
    return found


def seen(specs: Iterable[Spec], nearby: Mapping[str, Any]) -> list[Spec]:
    """Those of `models.use` whose server is not gone, and those found, by the setting NEARBY."""
    silent, found = frozenset(nearby["silent"]), [Spec(*row) for row in nearby["found"]]
    return [spec for spec in specs if spec.url not in silent] + found


def ask(server: Server) -> list[Spec] | None:
    """What it offers; None: it is no such server. Blocks for some TIMEOUT_S. Raises Busy."""
    rows = _rows(_models(server.port))
    if rows is None:
        return None
    found = [_spec(row, server) for row in rows if _is_named(row) and server.is_its(row)]
    return found[:MODELS_MAX] if found or not rows else None


def _models(port: int) -> bytes:
    """The answer to GET /v1/models; empty where there is none. Raises Busy."""
    import http.client  # most nodes have no such server, and need not load this

    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/v1/models", headers={"accept": "application/json"})
        response = connection.getresponse()
        if response.status == SERVICE_UNAVAILABLE:
            raise Busy  # llama.cpp, while it loads its model
        body = response.read(ANSWER_MAX_BYTES + 1) if response.status == OK else b""
    except TimeoutError:
        raise Busy from None
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()
    return body if len(body) <= ANSWER_MAX_BYTES else b""


def _rows(body: bytes) -> list[Mapping[str, Any]] | None:
    """None: it is no list of models. Ollama has null in place of an empty one."""
    try:
        rows = json.loads(body)["data"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if rows is not None and not isinstance(rows, list):
        return None
    found = cast("list[Any]", rows or [])
    return [cast("dict[str, Any]", row) for row in found if isinstance(row, dict)]


def _is_named(row: Mapping[str, Any]) -> bool:
    name = row.get("id")
    return isinstance(name, str) and 0 < len(name) <= NAME_LENGTH and name.isprintable()


def _spec(row: Mapping[str, Any], server: Server) -> Spec:
    name: str = row["id"]
    meta = row.get("meta")
    told = cast("dict[str, Any]", meta) if isinstance(meta, dict) else {}
    context: Any = row.get("max_model_len") or told.get("n_ctx_train")
    return Spec(
        name,
        name,
        OPENAI,
        f"http://{HOST}:{server.port}/v1",
        local=True,
        context_tokens=context if isinstance(context, int) else 0,
        kind="embed" if "embed" in name.lower() else None,
    )
