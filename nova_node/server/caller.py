"""Who makes the call that is being served."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nova_proto.identity.names import Name

_name: ContextVar[Name | None] = ContextVar("nova_caller", default=None)


def caller(context: Any) -> Name | None:
    """The caller as the guard verified it, in the task that serves this call; None in a mesh without
    identity."""
    return _name.get()


def set_caller(name: Name | None) -> None:
    """To be called by the guard, in the task of the call."""
    _name.set(name)
