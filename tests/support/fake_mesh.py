"""A mesh of models for the endpoint's tests: what it is asked is recorded, what it answers is scripted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Unpack

from nova_client import NovaError, TaskCancelled
from nova_client.model import (
    Failure,
    InputSource,
    LogLine,
    Model,
    NodeList,
    NodeView,
    Outcome,
    Status,
    SubmitOptions,
)
from nova_client.task import Hear

USED = {"input_tokens": 7, "output_tokens": 3}
ANSWER: dict[str, Any] = {
    "text": "Hello you",
    "model": "fake/small",
    "finish": "stop",
    "tool_calls": [],
    "usage": USED,
    "cost_usd": 0.5,
    "cache": "",
}


def model(name: str, **changes: Any) -> Model:
    plain = Model(name, "chat", True, 8_192, 4_096, 0, 0, False, True, 100.0, 50.0)
    return replace(plain, **changes)


def node(name: str, *models: Model, **changes: Any) -> NodeView:
    plain = NodeView(
        node=f"{name}-id",
        name=name,
        address="",
        state="alive",
        self=False,
        age_s=0,
        rtt_ms=0,
        slots=1,
        slots_free=1,
        queued=0,
        lag_ms=0,
        draining=False,
        version="1",
        skew="",
        labels={},
        capabilities=(),
        cpus=1,
        memory_bytes=1,
        platform="",
        python="",
        warnings=(),
        models=models,
    )
    return replace(plain, **changes)


@dataclass
class FakeTask:
    """Ends when the test says so."""

    capability: str
    args: Mapping[str, Any]
    options: SubmitOptions
    hear: Hear | None
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    outcome: Outcome | None = None
    id: str = "k7q2m9xd-1"

    def __post_init__(self) -> None:
        self._end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._end.add_done_callback(lambda end: end.cancelled() or end.exception())

    @property
    def done(self) -> bool:
        return self._end.done()

    def say(self, text: str, attempt: int = 1) -> None:
        assert self.hear is not None
        self.hear(LogLine(self.id, attempt, False, text, 1.0))

    def end(self, value: Any) -> None:
        self._end.set_result(value)

    def fail(self, error: NovaError, retry_after_s: float = 0.0) -> None:
        failure = Failure(error.code, error.message, error.fix, retry_after_s=retry_after_s)
        self.outcome = Outcome(self.id, Status.FAILED, failure=failure)
        self._end.set_exception(error)

    async def result(self, timeout_s: float | None = None) -> Any:
        return await asyncio.shield(self._end)

    async def cancel(self) -> Status:
        self.cancelled.set()
        if not self._end.done():
            self._end.set_exception(TaskCancelled(f"task {self.id} was cancelled"))
        return Status.CANCELLED


class FakeMesh:
    """`script` is called with each task that begins."""

    def __init__(self, *nodes: NodeView, script: Callable[[FakeTask], None] | None = None) -> None:
        self.members = nodes or (node("desk", model("fake/small")),)
        self.script = script
        self.tasks: list[FakeTask] = []
        self.begun = asyncio.Event()
        self.asked = 0
        #: raised by whatever is asked next
        self.refusal: NovaError | None = None

    async def nodes(self) -> NodeList:
        self.asked += 1
        if self.refusal:
            raise self.refusal
        return NodeList("home", tuple(self.members))

    async def submit(
        self,
        capability: str,
        args: Mapping[str, Any] | None = None,
        *,
        inputs: Mapping[str, InputSource] | None = None,
        hear: Hear | None = None,
        **options: Unpack[SubmitOptions],
    ) -> FakeTask:
        if self.refusal:
            raise self.refusal
        task = FakeTask(capability, args or {}, options, hear)
        self.tasks.append(task)
        self.begun.set()
        if self.script:
            asyncio.get_running_loop().call_soon(self.script, task)
        return task
