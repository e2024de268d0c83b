"""What the node and the host tell each other: frames as those of worker processes, one attempt each.

To the host: "given" (secrets of the node), "run", "cancel", and for what it asks "heard" and "answer".
From it: "ready", "measured" (how fast models were), "say", "ended", "ask" and "unask". Each but "given",
"ready" and "measured" holds the attempt's key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from nova_node.adapters.worker_frames import Head, frame, inputs_row
from nova_node.core.model import Attempt, Input, Usage
from nova_node.ports import Asked, AskEnd


class About(NamedTuple):
    """What an attempt may know of itself."""

    task_id: str
    submitter: str
    allowance_uusd: int
    sensitive: bool


def run_frame(
    key: int,
    attempt: Attempt,
    about: About,
    job: list[Any],
    paths: Mapping[str, str],
    secrets: Mapping[str, str] | None,
) -> bytes:
    call = attempt.call
    body = [call.args]
    items, _ = inputs_row(call.inputs, body)
    head = {"run": key, "job": job, "about": about, "part": attempt.part, "size": len(call.args)}
    head |= {"phase": int(attempt.phase), "items": items, "paths": dict(paths)}
    return frame({**head, "secrets": dict(secrets) if secrets else None}, body)


def answer_frame(key: int, number: int, end: AskEnd) -> bytes:
    head = {
        "answer": number,
        "key": key,
        "failure": end.failure,
        "encoding": int(end.encoding),
        "node": end.node,
        "usage": end.usage,
        "sizes": [len(end.data), *(len(data) for _, data in end.files)],
        "names": [name for name, _ in end.files],
    }
    return frame(head, [end.data, *(data for _, data in end.files)])


def asked_of(head: Head, body: bytes) -> Asked:
    """Of an "ask" frame. What it says is checked by whoever takes it."""
    at = int(head["size"])
    inputs: list[Input] = []
    for name, size in head["inputs"]:
        inputs.append(Input(name, body[at : at + size]))
        at += size
    return Asked(
        head["ask_for"],
        body[: int(head["size"])],
        tuple(inputs),
        tuple((key, label) for key, label in head["labels"]),
        tuple((key, label) for key, label in head["prefers"]),
        head["allowance_uusd"],
        head["timeout_s"],
    )


def usage_of(row: list[Any] | None) -> Usage | None:
    return None if row is None else Usage(*row)


# ---------------------------------------------------------------- in the host

Send = Callable[[dict[str, Any], bytes], None]


class Told(NamedTuple):
    """An "answer" frame, cut into its parts."""

    failure: list[Any] | None
    value: Any
    files: dict[str, bytes]
    node: str
    usage: list[Any] | None


def told_of(head: Head, body: bytes) -> Told:
    pieces: list[bytes] = []
    at = 0
    for size in head["sizes"]:
        pieces.append(body[at : at + size])
        at += size
    failure, value = head["failure"], pieces[0]
    try:
        value = json.loads(pieces[0]) if head["encoding"] else pieces[0]
    except (ValueError, RecursionError) as error:
        failure = ["bad_result", f"the answer cannot be read: {error}", "", False, "", 0.0]
    files = dict(zip(head["names"], pieces[1:], strict=True))
    return Told(failure, value, files, head["node"], head["usage"])
