"""What nodes recorded, for code without asyncio: `SyncClient.metrics`."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from nova_client.ended import EndedPage
from nova_client.filters import Filter
from nova_client.metrics import PAGE_MAX, Metrics, Series, Stats, Table, Top

T = TypeVar("T")


class Run(Protocol):
    def __call__(self, work: Coroutine[Any, Any, T]) -> T: ...


class SyncMetrics:
    """See Metrics."""

    def __init__(self, run: Run, metrics: Metrics) -> None:
        self._run = run
        self._metrics = metrics

    def sql(
        self,
        sql: str,
        *,
        timeout_s: float = 5.0,
        rows_max: int = 10_000,
        local_only: bool = False,
    ) -> Table:
        """See Metrics.sql."""
        return self._run(
            self._metrics.sql(sql, timeout_s=timeout_s, rows_max=rows_max, local_only=local_only)
        )

    def ended(
        self,
        wanted: Filter | str = "",
        *,
        children: bool = False,
        limit: int = PAGE_MAX,
        before: str = "",
        names: Mapping[str, str] | None = None,
        timeout_s: float = 5.0,
        local_only: bool = False,
    ) -> EndedPage:
        """See Metrics.ended."""
        return self._run(
            self._metrics.ended(
                wanted,
                children=children,
                limit=limit,
                before=before,
                names=names,
                timeout_s=timeout_s,
                local_only=local_only,
            )
        )

    def ends(self, id: str, *, timeout_s: float = 5.0) -> EndedPage:
        """See Metrics.ends."""
        return self._run(self._metrics.ends(id, timeout_s=timeout_s))

    def top(self, *, local_only: bool = False) -> Top:
        """See Metrics.top."""
        return self._run(self._metrics.top(local_only=local_only))

    def stats(self, begin: float = 0.0, end: float = 0.0, *, local_only: bool = False) -> Stats:
        """See Metrics.stats."""
        return self._run(self._metrics.stats(begin, end, local_only=local_only))

    def series(
        self,
        series: str,
        *,
        capability: str = "",
        begin: float = 0.0,
        end: float = 0.0,
        step_s: float = 0.0,
        ahead: int = 0,
        local_only: bool = False,
    ) -> Series:
        """See Metrics.series."""
        return self._run(
            self._metrics.series(
                series,
                capability=capability,
                begin=begin,
                end=end,
                step_s=step_s,
                ahead=ahead,
                local_only=local_only,
            )
        )
