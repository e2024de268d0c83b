"""Model servers that listen on this machine's usual ports: who answers there, and with which models.

Rule: loopback only, a short time, a bounded answer; what is no model server is left alone.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

from nova_node.models.spec import NAME_LENGTH, OPENAI, Spec

TIMEOUT_S = 0.3
ANSWER_MAX_BYTES = 1 << 20
MODELS_MAX = 64
HOST = "127.0.0.1"


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


def discover(servers: Iterable[Server] = SERVERS) -> list[Spec]:
    """What they offer, in the order of the servers. Blocks for TIMEOUT_S each at most, or a little more;
    where nobody listens, for no time."""
    return [spec for server in servers for spec in _ask(server)]


def _ask(server: Server) -> list[Spec]:
    try:
        socket.create_connection((HOST, server.port), TIMEOUT_S).close()
    except OSError:
        return []
    rows = _rows(_models(server.port))
    return [_spec(row, server) for row in rows if server.is_its(row)][:MODELS_MAX]


def _models(port: int) -> bytes:
    """The answer to GET /v1/models; empty where there is none."""
    import http.client  # most nodes have no such server, and need not load this

    connection = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/v1/models", headers={"accept": "application/json"})
        response = connection.getresponse()
        body = response.read(ANSWER_MAX_BYTES + 1) if response.status == 200 else b""
    except (OSError, http.client.HTTPException):
        return b""
    finally:
        connection.close()
    return body if len(body) <= ANSWER_MAX_BYTES else b""


def _rows(body: bytes) -> list[Mapping[str, Any]]:
    try:
        rows = json.loads(body)["data"]
        found = cast("list[Any]", rows) if isinstance(rows, list) else []
    except (ValueError, TypeError, KeyError, RecursionError):
        return []
    return [cast("dict[str, Any]", row) for row in found if _is_named(row)]


def _is_named(row: object) -> bool:
    name = cast("dict[str, Any]", row).get("id") if isinstance(row, dict) else None
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
