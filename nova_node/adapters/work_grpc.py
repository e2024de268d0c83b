"""The two ends of a Work stream. What piles up while a write is under way goes into the next message."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from nova_proto.v1 import mesh_pb2

from nova_node.adapters.wire import outcomes_from_pb, outcomes_to_pb
from nova_node.adapters.wire_work import (
    attempts_from_pb,
    attempts_to_pb,
    credit_from_pb,
    credit_to_pb,
    cuts_from_pb,
    cuts_to_pb,
    fences_from_pb,
    fences_to_pb,
    release_from_pb,
    said_list_from_pb,
    said_list_to_pb,
)
from nova_node.adapters.work_mandates import NUMBERS_MAX, HeardMandates, SentMandates
from nova_node.core.errors import NovaError
from nova_node.core.model import Attempt, Credit, Cut, Fence, Mandate, Outcome, Said
from nova_node.core.signals import (
    Granted,
    Heard,
    LinkDown,
    LinkUp,
    Resulted,
    Work,
)
from nova_node.ports import Post

log = logging.getLogger("nova.work")

MESSAGE_ITEMS_MAX = 512
MESSAGE_BYTES_MAX = 4 << 20


class Outbox:
    """Wakes one writer."""

    def __init__(self) -> None:
        self._wake: asyncio.Future[None] | None = None
        self.closed = False

    def wake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def close(self) -> None:
        self.closed = True
        self.wake()

    async def wait(self) -> None:
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None


class OwnerStream:
    """The owner's end: sends work to one peer, posts what comes back."""

    def __init__(self, node: str, hello: mesh_pb2.Hello, post: Post) -> None:
        self._node = node
        self._hello = hello
        self._post = post
        self._outbox = Outbox()
        self._attempts: deque[Attempt] = deque()
        self._mandates = SentMandates()
        self._rest: mesh_pb2.WorkRequest | None = None
        self._call: Any = None

    def assign(self, attempts: Sequence[Attempt]) -> None:
        self._attempts.extend(attempts)
        self._outbox.wake()

    def recall(self, at_most: int) -> None:
        self._other().recall = at_most
        self._outbox.wake()

    def revoke(self, fences: Sequence[Fence]) -> None:
        revoked = set(fences)
        self._attempts = deque(a for a in self._attempts if (a.no, a.attempt) not in revoked)
        fences_to_pb(fences, self._other().cancels)
        self._outbox.wake()

    def release(self, blob_ids: Sequence[str]) -> None:
        self._other().release.extend(blob_ids)
        self._outbox.wake()

    def close(self) -> None:
        self._outbox.close()
        if self._call is not None:
            self._call.cancel()

    async def run(self, mesh: Any) -> None:
        """Until the stream ends, for whatever reason; LinkDown is posted then."""
        why = "closed"
        if not self._outbox.closed:
            self._call = mesh.Work()
            writer = asyncio.create_task(self._write())
            try:
                why = await self._read()
            except grpc.aio.AioRpcError as error:
                why = error.details() or error.code().name.lower()
            except (asyncio.InvalidStateError, grpc.aio.UsageError):
                why = "closed"
            except asyncio.CancelledError:
                if not self._outbox.closed:
                    raise
            finally:
                self.close()
                writer.cancel()
        self._post(LinkDown(self._node, why))

    async def _read(self) -> str:
        node, post, up = self._node, self._post, False
        while True:
            reply = await self._call.read()
            if reply is grpc.aio.EOF:
                return "the peer closed the stream"
            if not up:
                up = True
                post(LinkUp(node))
            try:
                if reply.HasField("credit"):
                    post(Granted(node, credit_from_pb(reply.credit)))
                if reply.said:
                    post(Heard(node, said_list_from_pb(reply.said)))
                if reply.results or reply.returned or reply.cuts:
                    outcomes = outcomes_from_pb(reply.results)
                    returned = fences_from_pb(reply.returned) if reply.returned else ()
                    cuts = cuts_from_pb(reply.cuts) if reply.cuts else ()
                    post(Resulted(node, outcomes, returned, cuts))
            except NovaError as error:
                return f"unreadable message: {error.message}"

    async def _write(self) -> None:
        """In a task of its own: gRPC leaves a write waiting when a stream ends that never opened."""
        outbox = self._outbox
        try:
            await self._call.write(mesh_pb2.WorkRequest(hello=self._hello))
            while not outbox.closed:
                attempts = self._attempts
                if not attempts and self._rest is None:
                    await outbox.wait()
                    continue
                message, self._rest = self._rest or mesh_pb2.WorkRequest(), None
                if attempts:
                    attempts_to_pb(_take(attempts), message, self._mandates)
                await self._call.write(message)
        except (grpc.aio.AioRpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            pass  # the reader tells why

    def _other(self) -> mesh_pb2.WorkRequest:
        if self._rest is None:
            self._rest = mesh_pb2.WorkRequest()
        return self._rest


def _take(attempts: deque[Attempt]) -> list[Attempt]:
    """As many as fit one message, at least one."""
    taken: list[Attempt] = []
    size_bytes = 0
    mandate: Mandate | None = None
    mandates: set[Mandate] = set()
    while attempts and len(taken) < MESSAGE_ITEMS_MAX and size_bytes < MESSAGE_BYTES_MAX:
        attempt = attempts.popleft()
        if attempt.mandate is not mandate:
            mandate = attempt.mandate
            if mandate is not None and mandate not in mandates:
                if len(mandates) == NUMBERS_MAX:
                    attempts.appendleft(attempt)
                    break
                mandates.add(mandate)
                size_bytes += len(mandate.signed)
        size_bytes += len(attempt.call.args)
        if attempt.call.inputs:
            size_bytes += attempt.call.size_bytes
        taken.append(attempt)
    return taken


class WorkerStream:
    """The worker's end: posts the work of one owner, sends results back."""

    def __init__(self, link: int, owner: str, post: Post) -> None:
        self.link = link
        self.owner = owner
        self._post = post
        self._outbox = Outbox()
        self._outcomes: deque[Outcome] = deque()
        self._mandates = HeardMandates(lambda mandate: self.is_own(mandate))
        self._rest: mesh_pb2.WorkReply | None = None

    def report(
        self, outcomes: Sequence[Outcome], returned: Sequence[Fence], cuts: Sequence[Cut]
    ) -> None:
        self._outcomes.extend(outcomes)
        if returned:
            fences_to_pb(returned, self._other().returned)
        if cuts:
            cuts_to_pb(cuts, self._other().cuts)
        self._outbox.wake()

    def relay(self, said: Sequence[Said]) -> None:
        said_list_to_pb(said, self._other().said)
        self._outbox.wake()

    def grant(self, credit: Credit) -> None:
        credit_to_pb(credit, self._other().credit)
        self._outbox.wake()

    def close(self) -> None:
        self._outbox.close()

    async def read(self, context: Any) -> Sequence[str]:
        """Post the owner's messages until it closes."""
        while True:
            request = await context.read()
            if request is grpc.aio.EOF:
                return ()
            attempts: Sequence[Attempt] = ()
            if request.assignments:
                attempts = attempts_from_pb(request, self._mandates, self.owner)
            cancels = fences_from_pb(request.cancels) if request.cancels else ()
            if attempts or cancels or request.recall:
                self._post(Work(self.link, attempts, cancels, request.recall))
            if request.release:
                self.released(release_from_pb(request.release))

    def is_own(self, mandate: Mandate) -> bool:
        """Replaced by the server of a mesh with identity with what reads mandates."""
        return True

    def released(self, blob_ids: Sequence[str]) -> None:
        """Replaced by the server with what drops blobs."""

    async def write(self, context: Any) -> None:
        outbox, outcomes = self._outbox, self._outcomes
        while not outbox.closed:
            if not outcomes and self._rest is None:
                await outbox.wait()
                continue
            message, self._rest = self._rest or mesh_pb2.WorkReply(), None
            if outcomes:
                outcomes_to_pb(_take_outcomes(outcomes), message.results)
            await context.write(message)

    def _other(self) -> mesh_pb2.WorkReply:
        if self._rest is None:
            self._rest = mesh_pb2.WorkReply()
        return self._rest


def _take_outcomes(outcomes: deque[Outcome]) -> list[Outcome]:
    taken: list[Outcome] = []
    size_bytes = 0
    while outcomes and len(taken) < MESSAGE_ITEMS_MAX and size_bytes < MESSAGE_BYTES_MAX:
        outcome = outcomes.popleft()
        if outcome.value is not None:
            size_bytes += len(outcome.value.data)
        taken.append(outcome)
    return taken
