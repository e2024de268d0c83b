"""Widgets that leave something to those made from them: who forgets it is told by the type checker, and
by Python before the first frame."""

from __future__ import annotations

from abc import ABCMeta

from textual.message_pump import _MessagePumpMeta  # pyright: ignore[reportPrivateUsage]


class Abstract(_MessagePumpMeta, ABCMeta):
    """Of a widget with `abstractmethod`s."""
