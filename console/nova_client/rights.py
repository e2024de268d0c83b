"""What this client may ask of nodes, where that is to be less than its person may.

NOVA_CLIENT_RIGHTS names the rights, as in `read submit`; without it nothing is held back. Rule: what is
not known here is refused, and nothing of it is sent.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from nova_client.errors import Refused

VARIABLE = "NOVA_CLIENT_RIGHTS"
READ, SUBMIT, CANCEL, OPERATE = "read", "submit", "cancel", "operate"
ALL = frozenset({READ, SUBMIT, CANCEL, OPERATE})

METHODS: Mapping[str, str] = {
    "/nova.v1.Tasks/Submit": SUBMIT,
    "/nova.v1.Tasks/Session": SUBMIT,
    "/nova.v1.Tasks/Watch": READ,
    "/nova.v1.Tasks/Get": READ,
    "/nova.v1.Tasks/List": READ,
    "/nova.v1.Tasks/Explain": READ,
    "/nova.v1.Tasks/Logs": READ,
    "/nova.v1.Tasks/Cancel": CANCEL,
    "/nova.v1.Tasks/Requeue": SUBMIT,
    "/nova.v1.Blobs/Put": SUBMIT,
    "/nova.v1.Blobs/Get": READ,
    "/nova.v1.Metrics/Query": READ,
    "/nova.v1.Metrics/Top": READ,
    "/nova.v1.Metrics/Stats": READ,
    "/nova.v1.Metrics/Series": READ,
    "/nova.v1.Nodes/List": READ,
    "/nova.v1.Nodes/Capabilities": READ,
    "/nova.v1.Nodes/Status": READ,
    "/nova.v1.Nodes/Drain": OPERATE,
    "/nova.v1.Nodes/Resume": OPERATE,
    # to stay a member is not an act on the mesh
    "/nova.v1.Identity/Renew": READ,
    "/nova.v1.Identity/GetTrust": READ,
}


def held() -> frozenset[str]:
    """Of this process. A word that is no right gives none."""
    given = os.environ.get(VARIABLE)
    return ALL if given is None else ALL & frozenset(given.split())


def may(right: str) -> bool:
    return right in held()


def refusal(right: str) -> Refused:
    return Refused(
        f"this client may not {right} here: it was given {' and '.join(sorted(held())) or 'no'} rights",
        f"use a client of your own, without {VARIABLE}",
        "forbidden",
    )


def limited(channel: Any) -> Any:
    """In the place of a channel where stubs are made. The channel itself when nothing is held back."""
    return channel if held() == ALL else _Limited(channel, held())


class _Limited:
    def __init__(self, channel: Any, rights: frozenset[str]) -> None:
        self._channel = channel
        self._rights = rights

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._refuser(method) or self._channel.unary_unary(method, *args, **kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._refuser(method) or self._channel.unary_stream(method, *args, **kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._refuser(method) or self._channel.stream_unary(method, *args, **kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._refuser(method) or self._channel.stream_stream(method, *args, **kwargs)

    def _refuser(self, method: str) -> Callable[..., NoReturn] | None:
        """None when it is; otherwise what refuses each call of it."""
        right = METHODS.get(method, "")
        if right in self._rights:
            return None

        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise refusal(right or f"call {method}")

        return refuse
