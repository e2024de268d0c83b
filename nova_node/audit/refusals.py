"""Refused calls in the audit log: the first of a kind at once, the rest as a count.

Rule: whoever is refused a million times writes a line a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

EVERY_S = 60.0
KINDS_MAX = 1000
OTHERS = ("", "", "others")

Kind = tuple[str, str, str]
"""Who, from which host, what."""


class _Seen(NamedTuple):
    noted_at: float
    #: since then
    more: int


class Refusals:
    """`note` is that of the log. From any thread."""

    def __init__(self, note: Callable[..., None], now: Callable[[], float]) -> None:
        self._note = note
        self._now = now
        self._lock = Lock()
        self._seen: dict[Kind, _Seen] = {}

    def refused(self, who: str, origin: str, what: str, code: str) -> None:
        """`what` is the method, `code` of docs/errors.md."""
        host = origin.rpartition(":")[0]
        with self._lock:
            now = self._now()
            kind = (who, host, what)
            if kind not in self._seen and len(self._seen) >= KINDS_MAX:
                self._forget(now)
                if len(self._seen) >= KINDS_MAX:
                    kind = OTHERS
            seen = self._seen.get(kind)
            if seen is not None and now - seen.noted_at < EVERY_S:
                self._seen[kind] = seen._replace(more=seen.more + 1)
                return
            self._seen[kind] = _Seen(now, 0)
        who, host, what = kind
        count = 1 + (seen.more if seen else 0)
        self._note(who, origin if host else "", "refused", what, code=code, count=count)

    def _forget(self, now: float) -> None:
        """Those with nothing left to tell."""
        for kind, seen in tuple(self._seen.items()):
            if now - seen.noted_at >= EVERY_S:
                del self._seen[kind]
                if seen.more:
                    self._note(kind[0], kind[1], "refused", kind[2], count=seen.more)
