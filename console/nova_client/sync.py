"""The same client for code without asyncio; an event loop in a thread of its own runs it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from nova_client import model
from nova_client.client import Client
from nova_client.encode import Spec
from nova_client.errors import Unreachable
from nova_client.event import Event
from nova_client.model import BlobRef, Files, InputSource, Outcome, Status, SubmitOptions
from nova_client.task import Task

if TYPE_CHECKING:
    from nova_proto.identity.folder import Credentials

    from nova_client.sync_metrics import SyncMetrics

T = TypeVar("T")


class _Loop:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="nova")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Interrupting the caller cancels the work."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        async def following() -> tuple[T] | None:
            async for item in items:
                return (item,)
            return None

        try:
            while (item := self.run(following())) is not None:
                yield item[0]
        finally:
            self.run(items.aclose())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class SyncTask:
    """See Task."""

    __slots__ = ("_loop", "_task")

    def __init__(self, loop: _Loop, task: Task) -> None:
        self._loop = loop
        self._task = task

    @property
    def id(self) -> str:
        return self._task.id

    @property
    def no(self) -> int:
        return self._task.no

    @property
    def done(self) -> bool:
        return self._task.done

    @property
    def outcome(self) -> Outcome | None:
        return self._task.outcome

    def result(self, timeout_s: float | None = None) -> Any:
        """See Task.result."""
        if self._task.done:
            found = self._task.value()
            if not isinstance(found, BlobRef):
                return found
        return self._loop.run(self._task.result(timeout_s))

    def show(self) -> model.TaskView:
        return self._loop.run(self._task.show())

    def cancel(self) -> Status:
        return self._loop.run(self._task.cancel())

    def explain(self) -> model.Explanation:
        return self._loop.run(self._task.explain())

    def logs(self, follow: bool = False) -> Iterator[model.LogLine]:
        return self._loop.iterate(self._task.logs(follow))


class SyncClient:
    """See Client; use `with`. Its methods may be called from several threads."""

    def __init__(
        self,
        address: str | None = None,
        *,
        identity: Credentials | None = None,
        timeout_s: float = 10.0,
        give_up_s: float = 60.0,
    ) -> None:
        self._client = Client(address, identity=identity, timeout_s=timeout_s, give_up_s=give_up_s)
        self._opened: _Loop | None = None

    @property
    def address(self) -> str:
        return self._client.address

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> None:
        self._opened = _Loop()
        try:
            self._opened.run(self._client.connect())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        loop, self._opened = self._opened, None
        if loop is not None:
            loop.run(self._client.close())
            loop.close()

    @property
    def _loop(self) -> _Loop:
        if self._opened is None:
            raise Unreachable("the client is not open", "use it as `with SyncClient() as c:`")
        return self._opened

    def submit(
        self,
        capability: str,
        args: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, InputSource] | None = None,
        **options: Unpack[SubmitOptions],
    ) -> SyncTask:
        """See Client.submit."""
        work = self._client.submit(capability, args, inputs=inputs, **options)
        return SyncTask(self._loop, self._loop.run(work))

    def submit_many(
        self,
        calls: Iterable[Spec],
        *,
        inputs: Mapping[str, InputSource] | None = None,
        **options: Unpack[SubmitOptions],
    ) -> list[SyncTask]:
        """See Client.submit_many."""
        tasks = self._loop.run(self._client.submit_many(calls, inputs=inputs, **options))
        return [SyncTask(self._loop, task) for task in tasks]

    def get(self, id: str) -> model.TaskView:
        """See Client.get."""
        return self._loop.run(self._client.get(id))

    def list_tasks(
        self,
        *,
        statuses: Iterable[Status] = (),
        capability: str = "",
        limit: int = 100,
        children: bool = False,
        journaled: bool = False,
    ) -> model.TaskList:
        """See Client.list_tasks."""
        return self._loop.run(
            self._client.list_tasks(
                statuses=statuses,
                capability=capability,
                limit=limit,
                children=children,
                journaled=journaled,
            )
        )

    def children(self, id: str) -> tuple[model.TaskView, ...]:
        """See Client.children."""
        return self._loop.run(self._client.children(id))

    def cancel(self, id: str) -> Status:
        """See Client.cancel."""
        return self._loop.run(self._client.cancel(id))

    def requeue(self, id: str) -> Status:
        """See Client.requeue."""
        return self._loop.run(self._client.requeue(id))

    def requeue_many(self, ids: Iterable[str]) -> tuple[model.Requeued, ...]:
        """See Client.requeue_many."""
        return self._loop.run(self._client.requeue_many(ids))

    def submit_again(self, id: str, args: Mapping[str, Any] | None = None) -> SyncTask:
        """See Client.submit_again."""
        return SyncTask(self._loop, self._loop.run(self._client.submit_again(id, args)))

    def explain(self, id: str) -> model.Explanation:
        """See Client.explain."""
        return self._loop.run(self._client.explain(id))

    def logs(self, id: str, follow: bool = False) -> Iterator[model.LogLine]:
        """See Client.logs."""
        return self._loop.iterate(self._client.logs(id, follow))

    def watch(self, from_seq: int = 0) -> Iterator[Event]:
        """See Client.watch."""
        return self._loop.iterate(self._client.watch(from_seq))

    @property
    def metrics(self) -> SyncMetrics:
        """See Client.metrics."""
        from nova_client.sync_metrics import SyncMetrics

        return SyncMetrics(self._loop.run, self._client.metrics)

    def nodes(self) -> model.NodeList:
        """See Client.nodes."""
        return self._loop.run(self._client.nodes())

    def capabilities(self) -> tuple[model.Capability, ...]:
        """See Client.capabilities."""
        return self._loop.run(self._client.capabilities())

    def status(self) -> model.NodeStatus:
        """See Client.status."""
        return self._loop.run(self._client.status())

    def drain(self, *, stay: bool = False, timeout_s: float = 60.0) -> int:
        """See Client.drain."""
        return self._loop.run(self._client.drain(stay=stay, timeout_s=timeout_s))

    def resume(self) -> bool:
        """See Client.resume."""
        return self._loop.run(self._client.resume())

    def put_blob(self, data: bytes | str | Path, *, sensitive: bool = False) -> BlobRef:
        """See Client.put_blob."""
        return self._loop.run(self._client.put_blob(data, sensitive=sensitive))

    def put_files(
        self, paths: Iterable[str | Path] | Mapping[str, Path], *, sensitive: bool = False
    ) -> Files:
        """See Client.put_files."""
        return self._loop.run(self._client.put_files(paths, sensitive=sensitive))

    def get_blob(self, ref: BlobRef) -> bytes:
        """See Client.get_blob."""
        return self._loop.run(self._client.get_blob(ref))

    def get_files(self, files: Files, folder: str | Path) -> None:
        """See Client.get_files."""
        self._loop.run(self._client.get_files(files, folder))
