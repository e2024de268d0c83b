"""The process that holds a node's history: takes what the node has written, answers questions, and
ends when the node closes its input.

Memory and crashes of the database are so not the node's, and what does not end can be killed.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, cast

from nova_node.adapters.metrics_duckdb import Broken, Column, Store
from nova_node.adapters.metrics_files import segments
from nova_node.adapters.metrics_frames import Kind, pack
from nova_node.core.errors import Corrupt, NovaError, Overloaded
from nova_node.core.model import Failure
from nova_node.metrics.keeping import Rules

THREADS = 3
KEEP_EVERY_S = 600.0
ANSWER_MAX_BYTES = 16 << 20
MESSAGE_MAX_BYTES = 1 << 20
ADDRESS_SPACE_BYTES = 4 << 30
BEGIN_AGAIN_EXIT = 3

log = logging.getLogger("nova.metrics")


class Answers:
    """Frames to the node, from several threads."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def send(self, number: int, kind: Kind, value: Any) -> None:
        payload = value if isinstance(value, bytes) else json.dumps(value).encode()
        with self._lock:
            self._out.write(pack(number, kind, payload))
            self._out.flush()

    def fail(self, number: int, error: NovaError) -> None:
        self.send(number, Kind.ERROR, failure_dict(error.failure()))


class Answer:
    """One answer as it is made. Bounded in bytes."""

    def __init__(self, answers: Answers, number: int) -> None:
        self._answers = answers
        self._number = number
        self._left_bytes = ANSWER_MAX_BYTES

    def emit(self, columns: list[Column] | None, rows: list[tuple[Any, ...]]) -> None:
        if columns is not None:
            self._answers.send(self._number, Kind.COLUMNS, [[c.name, c.type] for c in columns])
        if rows:
            self._send(rows)

    def _send(self, rows: list[tuple[Any, ...]]) -> None:
        payload = rows_json(rows)
        if len(payload) > MESSAGE_MAX_BYTES and len(rows) > 1:
            half = len(rows) // 2
            self._send(rows[:half])
            self._send(rows[half:])
            return
        self._left_bytes -= len(payload)
        if self._left_bytes < 0 or len(payload) > MESSAGE_MAX_BYTES:
            raise Overloaded(
                f"the answer is over {ANSWER_MAX_BYTES >> 20} MiB, or one row of it is over"
                f" {MESSAGE_MAX_BYTES >> 20} MiB",
                "ask for fewer columns or rows",
            )
        self._answers.send(self._number, Kind.ROWS, payload)


def rows_json(rows: Sequence[Sequence[Any]]) -> bytes:
    """Times as ISO text, bytes in base 64, NaN and infinities as null."""
    try:
        return json.dumps(rows, default=_plain, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, TypeError):
        return json.dumps(_sane(rows), default=_plain, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    match value:
        case datetime() | date():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return str(value)


def _sane(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [_sane(each) for each in cast("Sequence[Any]", value)]
        case dict():
            given = cast("Mapping[Any, Any]", value)
            return {str(key): _sane(each) for key, each in given.items()}
        case _:
            return value


def failure_dict(failure: Failure) -> dict[str, Any]:
    return {
        "code": failure.code,
        "message": failure.message,
        "fix": failure.fix,
        "retryable": failure.retryable,
    }


class Helper:
    def __init__(self, store: Store, folder: Path, answers: Answers) -> None:
        self._store = store
        self._folder = folder
        self._answers = answers
        self._kept_at = 0.0
        self._pool = ThreadPoolExecutor(THREADS, "query")

    def run(self, questions: BinaryIO) -> None:
        """Until the node closes."""
        for line in questions:
            asked = json.loads(line)
            number = int(asked["number"])
            try:
                self._tidy(str(asked["before"]))
            except (Broken, Corrupt) as error:
                self._fail(number, error)
            except NovaError as error:
                log.warning("%s; %s", error.message, error.fix)  # what is there can still be read
            if asked.get("sql"):
                self._pool.submit(self._answer, number, asked)
            else:
                self._answers.send(number, Kind.END, {"truncated": False})
        self._pool.shutdown(cancel_futures=True)
        self._store.close()

    def _tidy(self, before: str) -> None:
        self._store.ingest(segments(self._folder, before))
        if not self._kept_at or time.monotonic() - self._kept_at > KEEP_EVERY_S:
            self._kept_at = time.monotonic()
            self._store.keep(time.time())

    def _answer(self, number: int, asked: Mapping[str, Any]) -> None:
        answer = Answer(self._answers, number)
        try:
            truncated = self._store.query(
                asked["sql"], asked["values"], asked["timeout_s"], asked["rows_max"], answer.emit
            )
        except NovaError as error:
            self._fail(number, error)
        except Exception as error:  # whoever asked must hear of it
            self._fail(number, NovaError(f"the history could not answer: {error!r}"[:500]))
        else:
            self._answers.send(number, Kind.END, {"truncated": truncated})

    def _fail(self, number: int, error: NovaError) -> None:
        if isinstance(error, Corrupt):
            self._store.give_up()
        self._answers.fail(number, error)
        if isinstance(error, Corrupt | Broken):
            os._exit(BEGIN_AGAIN_EXIT)


def main() -> int:
    """Arguments: the folder, the node's id, and the rules of keeping as JSON."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal's is for the node, which ends this one
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    folder, me, rules = Path(sys.argv[1]), sys.argv[2], Rules(**json.loads(sys.argv[3]))
    answers = Answers(sys.stdout.buffer)
    store = Store(folder, me, rules)
    try:
        store.open()
        hello = {"lost": store.lost, "last_seq": store.last_seq() if store.lost else 0}
    except NovaError as error:
        answers.send(0, Kind.HELLO, {"error": failure_dict(error.failure())})
        return 1
    answers.send(0, Kind.HELLO, {**hello, "error": None})
    Helper(store, folder, answers).run(sys.stdin.buffer)
    return 0


if __name__ == "__main__":
    sys.exit(main())
