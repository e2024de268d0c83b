"""What an attempt is given beside its arguments: secrets, and settings of the node.

Standard library only; authors import these from `nova_node.capability`. Rule: in a worker process one
attempt runs at a time, so what it is given is the process's; where several run at once, each one's
is its own context's.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from nova_node.answer import Fatal

_secrets: dict[str, str] = {}
_own_secrets: ContextVar[Mapping[str, str] | None] = ContextVar("own_secrets", default=None)
_node_secrets: dict[str, str] = {}
_settings: dict[str, Any] = {}


def secret(name: str) -> str:
    """The value that the task gives under this name, for as long as the attempt lasts: ask for it
    where it is used, and keep it nowhere. Raises Fatal when the task gives none."""
    own = _own_secrets.get()
    try:
        return (_secrets if own is None else own)[name]
    except KeyError:
        raise Fatal(
            f"the task gives no secret {name!r}",
            f"submit it with a reference to one, such as {name}=secret:NAME",
        ) from None


@contextmanager
def given_secrets(values: Mapping[str, str]) -> Generator[None, None, None]:
    """Within it `secret` answers from `values`: what a worker does for an attempt, and a test for a
    call of the function."""
    _secrets.update(values)
    try:
        yield
    finally:
        _secrets.clear()


@contextmanager
def own_secrets(values: Mapping[str, str]) -> Generator[None, None, None]:
    """As `given_secrets`, in this context alone: others run in this process at the same time."""
    token = _own_secrets.set(values)
    try:
        yield
    finally:
        _own_secrets.reset(token)


def node_secret(name: str) -> str:
    """A value that the node's own config names for what waits there, such as the key of a model.
    Raises Fatal when it names none."""
    try:
        return _node_secrets[name]
    except KeyError:
        raise Fatal(f"this node was given no secret {name!r}", "see its config") from None


def give_node_secrets(values: Mapping[str, str]) -> None:
    """What the host does with those that its node sends, and a test."""
    _node_secrets.clear()
    _node_secrets.update(values)


def setting(key: str) -> Any:
    """What the node's config says, such as setting("sandbox.images"). Raises KeyError for a key of
    which capabilities are not told."""
    return _settings[key]


@contextmanager
def given_settings(values: Mapping[str, Any]) -> Generator[None, None, None]:
    """Within it `setting` answers from `values`: what a worker does as long as it lives, and a test."""
    before = _settings.copy()
    _settings.update(values)
    try:
        yield
    finally:
        _settings.clear()
        _settings.update(before)
