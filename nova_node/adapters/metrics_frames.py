"""What the node and the process that holds its history say to each other over two pipes.

The node writes one JSON object a line; the helper answers with frames: length, number of the
question, kind, and bytes that the node passes on as they are.
"""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import asdict
from enum import Enum
from pathlib import Path

from nova_node.metrics.keeping import Rules

HEADER = struct.Struct(">IIc")
FRAME_MAX_BYTES = 32 << 20


class Kind(Enum):
    #: first of all: {"lost": bool, "last_seq": int, "error": {...} | null}
    HELLO = b"h"
    #: [[name, type], ...]
    COLUMNS = b"c"
    #: [[value, ...], ...]
    ROWS = b"r"
    #: {"truncated": bool}
    END = b"e"
    #: {"code", "message", "fix", "retryable"}
    ERROR = b"x"


def pack(number: int, kind: Kind, payload: bytes) -> bytes:
    return HEADER.pack(len(payload), number, kind.value) + payload


def command(folder: Path, me: str, rules: Rules) -> list[str]:
    """That runs the helper; -P: it imports nothing from where the node was started."""
    helper = [sys.executable, "-P", "-m", "nova_node.adapters.metrics_main"]
    return [*helper, str(folder), me, json.dumps(asdict(rules))]
