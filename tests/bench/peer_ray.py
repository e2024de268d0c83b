"""Ray core. As nodes: a head without CPUs and one raylet of one CPU for each worker."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import psutil
from bench.peer import WORKERS, Peer
from bench.work import WORK

STORE_BYTES = 1 << 30


class RayPeer(Peer):
    _cluster: Any = None

    def start(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ray: Any = importlib.import_module("ray")
        quiet: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
        store = {"object_store_memory": STORE_BYTES}
        if self.nodes:
            utils: Any = importlib.import_module("ray.cluster_utils")
            head = {"num_cpus": 0, "include_dashboard": False, **store}
            self._cluster = utils.Cluster(initialize_head=True, head_node_args=head)
            for _ in range(WORKERS):
                self._cluster.add_node(num_cpus=1, **store)
            self._cluster.wait_for_nodes()
            self._ray.init(address=self._cluster.address, **quiet)
        else:
            local = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            self._ray.init(num_cpus=WORKERS, **local, **store, **quiet)
        self._remote = {name: self._ray.remote(work) for name, work in WORK.items()}

    def stop(self) -> None:
        self._ray.shutdown()
        if self._cluster:
            self._cluster.shutdown()

    def begin(self, work: str, arguments: Sequence[Any]) -> list[Any]:
        remote = self._remote[work]
        return [remote.remote(argument) for argument in arguments]

    def finish(self, begun: list[Any]) -> list[Any]:
        return self._ray.get(begun)

    def count(self, begun: list[Any], timeout_s: float) -> int:
        done, _ = self._ray.wait(begun, num_returns=len(begun), timeout=timeout_s)
        return sum(map(self._succeeded, done))

    def _succeeded(self, reference: Any) -> bool:
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayError:
            return False
        return True

    def node_pids(self, worker_pid: int) -> list[int]:
        raylet = psutil.Process(worker_pid).parent()
        if not self.nodes or raylet is None:
            return [worker_pid]
        return [raylet.pid, *(child.pid for child in raylet.children(recursive=True))]
