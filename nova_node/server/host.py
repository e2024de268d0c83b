"""What the services need of the node they speak for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nova_node.core.model import Card


class Host(Protocol):
    """What of the node the services show and steer."""

    card: Card
    data_dir: str
    #: it was told to stop
    is_leaving: bool

    def lag_ms(self) -> float: ...
    def stop(self) -> None: ...
    def release(self, blob_ids: Sequence[str]) -> None: ...
