"""Two nodes' ends of the transport, over gRPC and over the simulated network, driven the same way."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol

import grpc.aio
from nova_proto.v1 import mesh_pb2_grpc
from support.world_clock import Clock
from support.world_members import MESH
from support.world_net import Net
from support.world_node import SimNode
from support.world_work import Works

from nova_node.adapters.access import OpenAccess
from nova_node.adapters.peers_grpc import PeersGrpc
from nova_node.core.engine import EngineConfig
from nova_node.core.model import Card

WAIT_S = 10.0
VIRTUAL_S = 60.0


class End(Protocol):
    """One node: what it heard, in order, and how it acts."""

    id: str
    address: str
    signals: list[Any]

    def perform(self, effect: Any) -> None: ...


class Pair(ABC):
    """`owner` and `worker` know nothing of each other but ids and addresses."""

    owner: End
    worker: End

    @abstractmethod
    def until(self, happened: Callable[[], object]) -> None:
        """Lets time pass; fails when it does not happen."""

    @abstractmethod
    def kill(self, end: End) -> None:
        """Its process ends; its machine says so."""

    @abstractmethod
    def close(self) -> None: ...


# ------------------------------------------------------------ simulated


class SimEnd(SimNode):
    """Keeps what reaches it to itself."""

    def __init__(self, number: int, clock: Clock, net: Net) -> None:
        works: Any = Works(random.Random(1))
        watcher: Any = None
        super().__init__(number, clock, net, works, watcher, EngineConfig(), ())
        self.signals: list[Any] = []
        self.start(())
        self.signals.clear()

    def post(self, signal: Any) -> None:
        self.signals.append(signal)

    post_member = post

    def _schedule(self) -> None:
        pass

    def perform(self, effect: Any) -> None:
        self._perform([effect])
        self._perform_member([effect])


class SimPair(Pair):
    def __init__(self) -> None:
        self._clock = Clock(7)
        net = Net(self._clock)
        self.owner, self.worker = (SimEnd(number, self._clock, net) for number in (1, 2))

    def until(self, happened: Callable[[], object]) -> None:
        end = self._clock.now + VIRTUAL_S
        while not happened():
            assert self._clock.now < end, "it does not happen"
            self._clock.run(0.001)

    def kill(self, end: End) -> None:
        assert isinstance(end, SimEnd)
        end.crash()

    def close(self) -> None:
        pass


# ------------------------------------------------------------ real


class GrpcEnd:
    """Made on its loop."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.address = ""
        self.signals: list[Any] = []
        self.peers = PeersGrpc(id, MESH, 1, OpenAccess())
        self.peers.attach(self.signals.append, self.signals.append, lambda node: frozenset())
        self._server = grpc.aio.server()

    async def start(self) -> None:
        from nova_node.server.mesh import MeshService

        runtime: Any = SimpleNamespace(
            post=self.signals.append,
            post_member=self.signals.append,
            engine=SimpleNamespace(me=self.id),
        )
        host: Any = SimpleNamespace(card=Card(self.id, 1), release=self._release)
        service = MeshService(runtime, self.peers.owners, MESH, host)
        add: Any = getattr(mesh_pb2_grpc, "add_MeshServicer_to_server")  # noqa: B009
        add(service, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    def _release(self, blob_ids: Any) -> None:
        pass

    def perform(self, effect: Any) -> None:
        self.peers.perform(effect)

    async def stop(self) -> None:
        await self.peers.stop()
        await self._server.stop(0)


class GrpcPair(Pair):
    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        ends = self._run(self._start())
        self._ends = {end.id: end for end in ends}
        self.owner, self.worker = (_OnLoop(end, self._runner) for end in ends)

    def _run(self, work: Any) -> Any:
        return self._runner.run(work)

    async def _start(self) -> list[GrpcEnd]:
        ends = [GrpcEnd(id * 16) for id in "ab"]
        for end in ends:
            await end.start()
        return ends

    def until(self, happened: Callable[[], object]) -> None:
        async def wait() -> None:
            async with asyncio.timeout(WAIT_S):
                while not happened():  # noqa: ASYNC110
                    await asyncio.sleep(0.001)

        self._run(wait())

    def kill(self, end: End) -> None:
        self._run(self._ends.pop(end.id).stop())

    def close(self) -> None:
        for end in self._ends.values():
            self._run(end.stop())
        self._runner.close()


class _OnLoop:
    """Acts where a loop runs."""

    def __init__(self, end: GrpcEnd, runner: asyncio.Runner) -> None:
        self.id, self.address, self.signals = end.id, end.address, end.signals
        self._end, self._runner = end, runner

    def perform(self, effect: Any) -> None:
        async def act() -> None:
            self._end.perform(effect)

        self._runner.run(act())
