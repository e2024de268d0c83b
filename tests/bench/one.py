"""One test of one peer in a process of its own: prints one JSON line of figures.

python -m bench.one PEER CASE SCRATCH [COUNT], with tests/ on PYTHONPATH."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from bench.cases import CASES, Figures
from bench.peer import Peer

PEERS = {
    "pool": "bench.peer_pool:PoolPeer",
    "ray": "bench.peer_ray:RayPeer",
    "dask": "bench.peer_dask:DaskPeer",
    "nova": "bench.peer_nova:JournaledPeer",
    "nova-volatile": "bench.peer_nova:VolatilePeer",
}


ALONE = {"g": "found", "h": "reassigned"}


def main(peer_name: str, case: str, scratch: str, count: str = "0") -> None:
    figures: dict[str, float] = {"load": os.getloadavg()[0]}
    if case in ALONE:
        figures |= getattr(importlib.import_module("bench.alone"), ALONE[case])(Path(scratch))
    else:
        figures |= measured(peer_name, case, Path(scratch), int(count))
    sys.stdout.write(json.dumps(figures) + "\n")


def measured(peer_name: str, case: str, scratch: Path, count: int) -> Figures:
    module, _, name = PEERS[peer_name].partition(":")
    kind: type[Peer] = getattr(importlib.import_module(module), name)
    peer = kind(scratch, case)
    peer.start()
    try:
        return CASES[case](peer, count)
    finally:
        peer.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
