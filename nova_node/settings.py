"""The table of settings: for each its key, how it is read, its default, and a line of explanation.

A reader takes what TOML gives or the text of a flag or variable; ValueError says what is wrong.
"""

from __future__ import annotations

import math
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

import platformdirs

from nova_node.address import Address, parse_address
from nova_node.core.policy import DEFAULT_RULES, CapabilityRule, parse_rule

LIST_MAX = 256
GIB = 1 << 30
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
_SECRET_SOURCE = re.compile(r"((env|keyring):|file:/)[^\0\n]{1,255}")
_LABEL_VALUE = re.compile(r"[A-Za-z0-9._/:@+-]{0,63}")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_UNITS = {"": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": GIB, "TIB": 1 << 40}


class Setting(NamedTuple):
    key: str
    read: Callable[[object], Any]
    default: Callable[[], Any]
    doc: str

    @property
    def variable(self) -> str:
        return "NOVA_" + self.key.upper().replace(".", "_")


def _integer(low: int, high: int) -> Callable[[object], int]:
    def read(raw: object) -> int:
        if isinstance(raw, str) and re.fullmatch(r"[0-9]{1,18}", raw):
            raw = int(raw)
        if not isinstance(raw, int) or isinstance(raw, bool) or not low <= raw <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return raw

    return read


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def read(raw: object) -> float:
        try:
            number = float(raw) if isinstance(raw, str | int | float) else math.nan
        except (ValueError, OverflowError):
            number = math.nan
        if isinstance(raw, bool) or not low <= number <= high:
            raise ValueError(f"must be seconds from {low:g} to {high:g}")
        return number

    return read


def _size(low: int, high: int) -> Callable[[object], int]:
    def read(raw: object) -> int:
        if isinstance(raw, str) and (
            match := re.fullmatch(r"([0-9]{1,18}) ?([KMGT]iB)?", raw, re.IGNORECASE)
        ):
            raw = int(match[1]) * _UNITS[(match[2] or "").upper()]
        if not isinstance(raw, int) or isinstance(raw, bool) or not low <= raw <= high:
            raise ValueError(f"must be bytes from {low} to {high}, or text such as '2GiB'")
        return raw

    return read


def _boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    match raw.lower() if isinstance(raw, str) else raw:
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
        case _:
            raise ValueError("must be true or false")


def _name(raw: object) -> str:
    if not isinstance(raw, str) or not _NAME.fullmatch(raw):
        raise ValueError("must be 1 to 63 letters, digits, '.', '_' or '-', the first no sign")
    return raw


def _address(raw: object) -> Address:
    if not isinstance(raw, str):
        raise ValueError("must be text, HOST:PORT")
    return parse_address(raw)


def _address_or_none(raw: object) -> Address | None:
    return _address(raw) if raw else None


def _path(raw: object) -> Path:
    if not isinstance(raw, str | Path) or not str(raw) or "\0" in str(raw):
        raise ValueError("must be a path")
    return Path(raw).expanduser().absolute()


def _texts(raw: object) -> list[str]:
    """A list of texts, or one text with commas."""
    items: list[object] = (
        [item.strip() for item in raw.split(",") if item.strip()]
        if isinstance(raw, str)
        else list(cast("list[object]", raw))
        if isinstance(raw, list | tuple)
        else [None]
    )
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) != len(items) or len(texts) > LIST_MAX:
        raise ValueError(f"must be a list of at most {LIST_MAX} texts")
    return list(dict.fromkeys(texts))


def _addresses(raw: object) -> tuple[Address, ...]:
    return tuple(parse_address(text) for text in _texts(raw))


def _interfaces(raw: object) -> tuple[str, ...]:
    names = _texts(raw)
    if any(not name or len(name) > 63 or not name.isprintable() for name in names):
        raise ValueError("must be names of network interfaces, such as eth0")
    return tuple(names)


def _modules(raw: object) -> tuple[str, ...]:
    names = _texts(raw)
    if wrong := [name for name in names if not _MODULE.fullmatch(name)]:
        raise ValueError(f"must be names of Python modules, which {wrong[0][:80]!r} is not")
    return tuple(names)


def _secret_sources(raw: object) -> tuple[str, ...]:
    patterns = _texts(raw)
    if wrong := [each for each in patterns if not _SECRET_SOURCE.fullmatch(each)]:
        raise ValueError(
            f"{wrong[0][:80]!r} is no pattern such as env:NOVA_SECRET_*, keyring:* or"
            " file:/etc/nova/secrets/*"
        )
    return tuple(patterns)


def _images(raw: object) -> tuple[str, ...]:
    names = _texts(raw)
    if not names or any(not _IMAGE.fullmatch(name) for name in names):
        raise ValueError(
            "must be names of images, up to 40 small letters, digits, '.', '_' and '-'"
        )
    return tuple(names)


def _choice(*words: str) -> Callable[[object], str]:
    def read(raw: object) -> str:
        if raw not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return str(raw)

    return read


def _engine(raw: object) -> str:
    if not isinstance(raw, str) or (raw and not raw.startswith("unix:///")):
        raise ValueError("must be unix:///PATH, or empty for $DOCKER_HOST or the usual socket")
    return raw


def _rules(raw: object) -> tuple[CapabilityRule, ...]:
    return tuple(parse_rule(text) for text in _texts(raw))


def _labels(raw: object) -> tuple[tuple[str, str], ...]:
    """A table of texts, or texts `key=value`."""
    if isinstance(raw, dict):
        pairs = [(str(k), str(v)) for k, v in cast("dict[object, object]", raw).items()]
    else:
        pairs = [(k, v) for k, equals, v in (t.partition("=") for t in _texts(raw)) if equals]
        if len(pairs) != len(_texts(raw)):
            raise ValueError("must be key=value")
    if len(pairs) > LIST_MAX:
        raise ValueError(f"must be at most {LIST_MAX} labels")
    for key, value in pairs:
        if not _NAME.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"{key[:63]!r} = {value[:63]!r} has signs that a label cannot have")
    return tuple(sorted(dict(pairs).items()))


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
        _address,
        _constant(Address("127.0.0.1")),
        "HOST:PORT to serve on, 0.0.0.0:7600 with an identity; port 0 takes a free one",
    ),
    Setting(
        "advertise",
        _address_or_none,
        _constant(None),
        "HOST:PORT at which others reach this node, where that differs from what it listens on",
    ),
    Setting(
        "join_listen",
        _address_or_none,
        _constant(None),
        "HOST:PORT where the node that made the mesh lets others join; its own host and port 7601",
    ),
    Setting(
        "node_certificate_s",
        _seconds(2, 30 * 86_400),
        _constant(86_400.0),
        "how long certificates of nodes last; of the node that made the mesh",
    ),
    Setting("name", _name, _host_name, "what people call this node"),
    Setting("mesh", _name, _constant("nova"), "nodes of another mesh are left alone"),
    Setting("data_dir", _path, _data_dir, "folder of the journal and the blobs; one node each"),
    Setting("peers", _addresses, _constant(()), "HOST:PORT of nodes to join, beside those found"),
    Setting("mdns", _boolean, _constant(True), "find nodes on the local network"),
    Setting(
        "interfaces",
        _interfaces,
        _constant(()),
        "network interfaces for mDNS; none means those of the default route",
    ),
    Setting("slots", _integer(0, 1024), _cpus, "attempts that run at once; 0 runs none here"),
    Setting("labels", _labels, _constant(()), "key=value that a task can ask a node to carry"),
    Setting(
        "capabilities", _modules, _constant(()), "modules with capabilities, beside installed ones"
    ),
    Setting(
        "secret_sources",
        _secret_sources,
        _constant(()),
        "patterns of env:NAME, file:PATH and keyring:NAME that tasks may use as secrets",
    ),
    Setting(
        "policy",
        _rules,
        _constant(DEFAULT_RULES),
        "ROLE CAPABILITY [LABEL=VALUE ...]: what members may have this node run; the rest is refused",
    ),
    Setting(
        "sandbox.runtime",
        _choice("docker", "process", "off"),
        _constant("docker"),
        "what keeps foreign code in: docker; process, which is no boundary; off runs none",
    ),
    Setting(
        "sandbox.images",
        _images,
        _constant(("host",)),
        "images that programs may ask for; the first is the default",
    ),
    Setting(
        "sandbox.tier",
        _choice("trusted", "untrusted"),
        _constant("trusted"),
        "trusted: one's own code (runc); untrusted: anybody's (gVisor's runsc)",
    ),
    Setting(
        "sandbox.engine",
        _engine,
        _constant(""),
        "unix:///PATH of the engine, where it is not usual",
    ),
    Setting(
        "sandbox.share_process",
        _boolean,
        _constant(False),
        "whether other nodes may have code run here by the runtime process",
    ),
    Setting("limits.wall_s", _seconds(0.001, 86_400), _constant(300.0), "wall time of an attempt"),
    Setting("limits.cpu_s", _seconds(0.001, 86_400), _constant(300.0), "cpu time of an attempt"),
    Setting(
        "limits.memory_bytes", _size(16 << 20, 1 << 50), _constant(GIB), "memory of an attempt"
    ),
    Setting(
        "limits.output_bytes",
        _size(0, GIB),
        _constant(1 << 20),
        "text that an attempt may write to stdout and stderr",
    ),
    Setting(
        "queues.tasks_max",
        _integer(1, 100_000_000),
        _constant(1_000_000),
        "unfinished tasks that this node owns",
    ),
    Setting(
        "queues.mailbox_max",
        _integer(16, 10_000_000),
        _constant(10_000),
        "signals that wait for the engine",
    ),
    Setting(
        "queues.watch_max",
        _integer(16, 10_000_000),
        _constant(100_000),
        "events that wait for one watcher",
    ),
    Setting(
        "storage.blob_cap_bytes",
        _size(0, 1 << 50),
        _constant(20 * GIB),
        "bytes of blobs on this node's disk",
    ),
    Setting(
        "metrics",
        _address_or_none,
        _constant(None),
        "HOST:PORT on this machine at which Prometheus may read /metrics; none is the default",
    ),
    Setting(
        "storage.metrics_cap_bytes",
        _size(0, 1 << 50),
        _constant(GIB),
        "bytes of recorded history on this node's disk; 0 records nothing",
    ),
    Setting(
        "storage.metrics_retention_s",
        _seconds(86_400, 10 * 366 * 86_400),
        _constant(30 * 86_400.0),
        "recorded history is deleted after so long",
    ),
    Setting(
        "storage.journal_retention_s",
        _seconds(0, 10 * 366 * 86_400),
        _constant(_WEEK_S),
        "finished tasks are forgotten after so long",
    ),
)

SETTINGS_BY_KEY = {setting.key: setting for setting in SETTINGS}
