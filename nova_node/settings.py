"""The table of settings: for each its key, how it is read, its default, and a line of explanation.

The readers are in `readers`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from nova_node import readers
from nova_node.address import Address
from nova_node.core.policy import DEFAULT_RULES

GIB = 1 << 30


class Setting(NamedTuple):
    key: str
    read: Callable[[object], Any]
    default: Callable[[], Any]
    doc: str

    @property
    def variable(self) -> str:
        return "NOVA_" + self.key.upper().replace(".", "_")


def _cpus() -> int:
    available = getattr(os, "sched_getaffinity", None)
    return max(1, len(available(0)) if available else os.cpu_count() or 1)


def _host_name() -> str:
    name = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname().partition(".")[0])[:63]
    return name.lstrip("-_") or "node"


def _data_dir() -> Path:
    return Path(platformdirs.user_data_dir("nova", appauthor=False))


def _constant(value: Any) -> Callable[[], Any]:
    return lambda: value


_WEEK_S = 7 * 86_400.0

SETTINGS = (
    Setting(
        "listen",
        readers.address,
        _constant(Address("127.0.0.1")),
        "HOST:PORT to serve on, 0.0.0.0:7600 with an identity; port 0 takes a free one",
    ),
    Setting(
        "advertise",
        readers.address_or_none,
        _constant(None),
        "HOST:PORT at which others reach this node, where that differs from what it listens on",
    ),
    Setting(
        "join_listen",
        readers.address_or_none,
        _constant(None),
        "HOST:PORT where the node that made the mesh lets others join; its own host and port 7601",
    ),
    Setting(
        "node_certificate_s",
        readers.seconds(2, 30 * 86_400),
        _constant(86_400.0),
        "how long certificates of nodes last; of the node that made the mesh",
    ),
    Setting("name", readers.name, _host_name, "what people call this node"),
    Setting("mesh", readers.name, _constant("nova"), "nodes of another mesh are left alone"),
    Setting(
        "data_dir", readers.path, _data_dir, "folder of the journal and the blobs; one node each"
    ),
    Setting(
        "peers", readers.addresses, _constant(()), "HOST:PORT of nodes to join, beside those found"
    ),
    Setting("mdns", readers.boolean, _constant(True), "find nodes on the local network"),
    Setting(
        "interfaces",
        readers.interfaces,
        _constant(()),
        "network interfaces for mDNS; none means those of the default route",
    ),
    Setting(
        "slots", readers.integer(0, 1024), _cpus, "attempts that run at once; 0 runs none here"
    ),
    Setting(
        "places",
        readers.integer(0, 1024),
        _constant(64),
        "attempts beside those that wait for others, as for a model; 0 runs none here",
    ),
    Setting(
        "labels", readers.labels, _constant(()), "key=value that a task can ask a node to carry"
    ),
    Setting(
        "capabilities",
        readers.modules,
        _constant(()),
        "modules with capabilities, beside installed ones",
    ),
    Setting(
        "secret_sources",
        readers.secret_sources,
        _constant(()),
        "patterns of env:NAME, file:PATH and keyring:NAME that tasks may use as secrets",
    ),
    Setting(
        "policy",
        readers.rules,
        _constant(DEFAULT_RULES),
        "ROLE CAPABILITY [LABEL=VALUE ...]: what members may have this node run; the rest is refused",
    ),
    Setting(
        "uses",
        readers.uses,
        _constant(()),
        "CAPABILITY CAPABILITY ...: what the first, which waits, may ask for, beside what is built in",
    ),
    Setting(
        "sandbox.runtime",
        readers.choice("docker", "process", "off"),
        _constant("docker"),
        "what keeps foreign code in: docker; process, which is no boundary; off runs none",
    ),
    Setting(
        "sandbox.images",
        readers.images,
        _constant(("host",)),
        "images that programs may ask for; the first is the default",
    ),
    Setting(
        "sandbox.tier",
        readers.choice("trusted", "untrusted"),
        _constant("trusted"),
        "trusted: one's own code (runc); untrusted: anybody's (gVisor's runsc)",
    ),
    Setting(
        "sandbox.engine",
        readers.engine,
        _constant(""),
        "unix:///PATH of the engine, where it is not usual",
    ),
    Setting(
        "sandbox.share_process",
        readers.boolean,
        _constant(False),
        "whether other nodes may have code run here by the runtime process",
    ),
    Setting(
        "models.use",
        readers.models,
        _constant(()),
        "NAME[,url=URL][,key=secret:NAME] ...: models that this node reaches, by litellm's names",
    ),
    Setting(
        "models.discover",
        readers.boolean,
        _constant(True),
        "find Ollama, llama.cpp and vLLM on this machine's usual ports",
    ),
    Setting(
        "models.look_s",
        readers.seconds(0, 3_600),
        _constant(5.0),
        "seconds between looks for model servers on this machine; 0: only as the node starts",
    ),
    Setting(
        "models.timeout_s",
        readers.seconds(0.1, 3_600),
        _constant(120.0),
        "a model that says nothing for so long is given up",
    ),
    Setting(
        "models.cache_ttl_s",
        readers.seconds(0, 366 * 86_400),
        _constant(86_400.0),
        "how long an answer of a model may be given again; 0: never",
    ),
    Setting(
        "models.cache_cap_bytes",
        readers.size(0, 1 << 40),
        _constant(GIB // 2),
        "bytes of answers kept in models.duckdb; 0 keeps none, nor any function",
    ),
    Setting(
        "models.cache_embed",
        readers.model_or_none,
        _constant(""),
        "a model of kind embed, by which like questions are found; empty: the same ones alone",
    ),
    Setting(
        "models.cache_similarity",
        readers.ratio,
        _constant(0.92),
        "how alike two questions are that get one answer, from 0 to 1",
    ),
    Setting(
        "limits.wall_s", readers.seconds(0.001, 86_400), _constant(300.0), "wall time of an attempt"
    ),
    Setting(
        "limits.cpu_s", readers.seconds(0.001, 86_400), _constant(300.0), "cpu time of an attempt"
    ),
    Setting(
        "limits.memory_bytes",
        readers.size(16 << 20, 1 << 50),
        _constant(GIB),
        "memory of an attempt",
    ),
    Setting(
        "limits.output_bytes",
        readers.size(0, GIB),
        _constant(1 << 20),
        "text that an attempt may write to stdout and stderr",
    ),
    Setting(
        "queues.tasks_max",
        readers.integer(1, 100_000_000),
        _constant(1_000_000),
        "unfinished tasks that this node owns",
    ),
    Setting(
        "queues.mailbox_max",
        readers.integer(16, 10_000_000),
        _constant(10_000),
        "signals that wait for the engine",
    ),
    Setting(
        "queues.watch_max",
        readers.integer(16, 10_000_000),
        _constant(100_000),
        "events that wait for one watcher",
    ),
    Setting(
        "storage.blob_cap_bytes",
        readers.size(0, 1 << 50),
        _constant(20 * GIB),
        "bytes of blobs on this node's disk",
    ),
    Setting(
        "metrics",
        readers.address_or_none,
        _constant(None),
        "HOST:PORT on this machine at which Prometheus may read /metrics; none is the default",
    ),
    Setting(
        "openai",
        readers.address_or_none,
        _constant(None),
        "HOST:PORT on this machine where clients of OpenAI's protocol find the mesh's models",
    ),
    Setting(
        "storage.metrics_cap_bytes",
        readers.size(0, 1 << 50),
        _constant(GIB),
        "bytes of recorded history on this node's disk; 0 records nothing",
    ),
    Setting(
        "storage.metrics_retention_s",
        readers.seconds(86_400, 10 * 366 * 86_400),
        _constant(30 * 86_400.0),
        "recorded history is deleted after so long",
    ),
    Setting(
        "storage.journal_retention_s",
        readers.seconds(0, 10 * 366 * 86_400),
        _constant(_WEEK_S),
        "finished tasks are forgotten after so long",
    ),
)

SETTINGS_BY_KEY = {setting.key: setting for setting in SETTINGS}
