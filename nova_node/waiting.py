"""What a capability that waits may do while it runs: say something now, ask the mesh for a task, know for
whom it works, and tell what it spent.

Standard library only; authors import these from `nova_node.capability`. Rule: all of it belongs to the
attempt in whose context it is called, however many run in this process.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from nova_node.answer import Failed, Usage

Say = Callable[[str], None]

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Answer(NamedTuple):
    """What a task that was asked for came to."""

    #: what JSON holds, or bytes
    value: Any
    #: beside it, by name
    files: Mapping[str, bytes]
    #: id of the node that ran it
    node: str
    #: of all its attempts; it counts as the asker's own, who need not tell it again
    usage: Usage | None


class AskFailed(Failed):
    """A task that was asked for failed: `code`, `fix`, `retryable` and `retry_after_s` are its own."""


class Ask(NamedTuple):
    """A task that is asked for: the parameters of `ask`."""

    capability: str
    args: Mapping[str, object] = _NOTHING
    inputs: Mapping[str, bytes] = _NOTHING
    labels: Mapping[str, str] = _NOTHING
    prefers: Sequence[tuple[str, str]] = ()
    allowance_uusd: int = 0
    timeout_s: float = 0.0
    say: Say | None = None


class Waiting(Protocol):
    """An attempt that waits, as the process that runs it knows it; tests may make their own."""

    #: of the task, as people write it: k7q2m9xd-42
    task_id: str
    #: "<role>/<id>"; "" in a mesh without identity
    submitter: str
    #: the most it may spend, in millionths of a US dollar; 0: no bound
    allowance_uusd: int
    #: nothing of it may be kept in the clear
    sensitive: bool

    def say(self, text: str) -> None: ...
    def spend(self, used: Usage) -> None: ...
    async def ask(self, ask: Ask) -> Answer: ...


_current: ContextVar[Waiting | None] = ContextVar("waiting", default=None)


@contextmanager
def attempt_of(waiting: Waiting) -> Generator[None, None, None]:
    """Within it, and in what is started within it, this is the attempt that the functions below are
    about: what the host does for an attempt, and a test for a call of the function."""
    token = _current.set(waiting)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> Waiting | None:
    """The attempt in this context; None outside of any."""
    return _current.get()


def say(text: str) -> None:
    """Output of this attempt now, in a few milliseconds; it need be no whole line."""
    waiting = _current.get()
    if waiting is None:
        sys.stdout.write(text)
    else:
        waiting.say(text)


async def ask(
    capability: str,
    args: Mapping[str, object],
    *,
    inputs: Mapping[str, bytes] = _NOTHING,
    labels: Mapping[str, str] = _NOTHING,
    prefers: Sequence[tuple[str, str]] = (),
    allowance_uusd: int = 0,
    timeout_s: float = 0.0,
    say: Say | None = None,
) -> Answer:
    """Have the mesh run a task for this one, with its submitter's rights, and wait for its end.

    `args` is what JSON holds, `inputs` are parameters of type bytes. The node that runs it carries all
    `labels`, and one of `prefers` if there are some, the earlier the better. An attempt of it may spend
    `allowance_uusd` (0: no bound, unless this one has one). It fails after `timeout_s` (0: none). Its
    output goes to `say` as it comes. Cancelled with whoever awaits it. Raises AskFailed."""
    given = Ask(capability, args, inputs, labels, prefers, allowance_uusd, timeout_s, say)
    return await _here().ask(given)


def submitter() -> str:
    """Who submitted the task, as "<role>/<id>"; "" in a mesh without identity."""
    return _here().submitter


def task_id() -> str:
    """Of the task that this is an attempt of, as people write it: k7q2m9xd-42."""
    return _here().task_id


def allowance_uusd() -> int:
    """The most this attempt may spend, in millionths of a US dollar; 0: no bound."""
    return _here().allowance_uusd


def sensitive() -> bool:
    """Whether nothing of this task may be kept in the clear, on any disk."""
    return _here().sensitive


def spend(used: Usage) -> None:
    """Add to what this attempt used. It is told with the result, and with a failure."""
    _here().spend(used)


def _here() -> Waiting:
    waiting = _current.get()
    if waiting is None:
        raise RuntimeError("only a capability that waits can do this: see docs/capabilities.md")
    return waiting
