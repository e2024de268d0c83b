"""Dask distributed. As nodes: a scheduler and one worker process each; otherwise LocalCluster.

DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION=inf sends every task to the workers at once."""

from __future__ import annotations

import importlib
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bench.peer import WORKERS, Peer
from bench.work import WORK


class DaskPeer(Peer):
    _cluster: Any = None

    def start(self) -> None:
        self._dask: Any = importlib.import_module("distributed")
        self._processes: list[subprocess.Popen[bytes]] = []
        if self.nodes:
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            address = f"tcp://127.0.0.1:{port}"
            self._run("scheduler", "--port", str(port))
            _wait_for(port)
            for _ in range(WORKERS):
                self._run("worker", address, "--nthreads", "1", "--no-nanny")
            self._client: Any = self._dask.Client(address)
            self._client.wait_for_workers(WORKERS)
        else:
            self._cluster = self._dask.LocalCluster(
                n_workers=WORKERS,
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                silence_logs=50,
            )
            self._client = self._dask.Client(self._cluster)

    def _run(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "dask", *arguments, "--host", "127.0.0.1"]
        self._processes.append(
            subprocess.Popen(
                [*command, "--no-dashboard"],
                cwd=self.scratch,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        )

    def stop(self) -> None:
        self._client.close()
        if self._cluster:
            self._cluster.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def begin(self, work: str, arguments: Sequence[Any]) -> list[Any]:
        return self._client.map(WORK[work], arguments, pure=False)

    def finish(self, begun: list[Any]) -> list[Any]:
        return self._client.gather(begun)

    def count(self, begun: list[Any], timeout_s: float) -> int:
        with suppress(Exception):  # of the peer: what it could not do is what is counted
            self._dask.wait(begun, timeout=timeout_s)
        return sum(future.status == "finished" for future in begun)


def _wait_for(port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        time.sleep(0.01)
    raise TimeoutError(f"the scheduler does not listen on port {port}")
