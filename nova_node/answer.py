"""How a capability answers where a plain value will not do: what it may raise, and what it may return.

Rule: standard library only; authors import these from `nova_node.capability`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

_CODE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Fatal(Exception):
    """Raise it when another attempt would fail too. `fix` tells the caller what to do about it."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class BadArgument(Fatal):
    """The call does not fit the capability's parameters."""


class Failed(Exception):
    """Raise it to fail with a code of your own, a word that programs can tell apart. `traceback` is
    shown in place of the capability's own; a retry on the same node waits `retry_after_s` at least."""

    def __init__(
        self,
        code: str,
        message: str,
        fix: str = "",
        retryable: bool = False,
        traceback: str = "",
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code[:100]!r} is no code: use lower-case letters, digits and _")
        self.code, self.fix, self.retryable, self.traceback = code, fix, retryable, traceback
        self.retry_after_s = retry_after_s


class NotOffered(Exception):
    """Raised by a check: why this node does not offer the capability, and what to do about it. Without
    a message, because its owner wants it so, nobody is told."""

    def __init__(self, message: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class Shards:
    """Returned in place of a result: the arguments of the calls that make it up together."""

    def __init__(self, calls: Iterable[Mapping[str, object]]) -> None:
        self.calls = calls


class Produced(NamedTuple):
    """A result and files beside it, by name: bytes, or the path of a local file, which is read when
    the function has returned. Names are relative paths with `/`."""

    value: object
    files: Mapping[str, bytes | os.PathLike[str]]


class Offer(NamedTuple):
    """What a check found: labels that the node then carries. A local capability is offered only to
    tasks that were submitted to this very node. `lacks` says what is missing of it: people are told,
    and the check is made again later. `models` are fields of Model, by name."""

    labels: Mapping[str, str] = _NOTHING
    local: bool = False
    lacks: str = ""
    models: tuple[Mapping[str, object], ...] = ()


NO_OFFER = Offer()


class Usage(NamedTuple):
    """What an attempt used of a model. `spent_uusd` is in millionths of a US dollar; None: nobody
    knows the price. `cache` tells how an answer was found without one."""

    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    spent_uusd: int | None = 0
    cache: str = ""

    def plus(self, other: Usage) -> Usage:
        """Both together; of unknown price if one of them is."""
        known = self.spent_uusd is not None and other.spent_uusd is not None
        return Usage(
            _joined(self.model, other.model),
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            (self.spent_uusd or 0) + (other.spent_uusd or 0) if known else None,
            _joined(self.cache, other.cache),
        )


def _joined(one: str, other: str) -> str:
    """The word of both; "" when they differ."""
    return one if one == other or not other else other if not one else ""
