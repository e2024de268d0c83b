"""The states of a task, as a table. Whatever is not in the table cannot happen.

WAITING, BACKOFF and RUNNING are open; DONE, FAILED and CANCELLED end a task. There are two ways back to
WAITING: from DONE, for a part of a larger task whose value went away with the node that held it, and from
FAILED, for a dead letter that a person requeues.
"""

from __future__ import annotations

from nova_node.core.model import Status

NEXT: dict[Status, frozenset[Status]] = {
    Status.WAITING: frozenset(
        # assignments are not journaled: at replay a task goes on from WAITING as if from RUNNING
        {
            Status.RUNNING,
            Status.DONE,
            Status.FAILED,
            Status.CANCELLED,
            Status.WAITING,
            Status.BACKOFF,
        }
    ),
    Status.BACKOFF: frozenset(
        {
            Status.WAITING,
            Status.RUNNING,
            Status.DONE,
            Status.FAILED,
            Status.CANCELLED,
            Status.BACKOFF,
        }
    ),
    Status.RUNNING: frozenset(
        {Status.DONE, Status.FAILED, Status.CANCELLED, Status.WAITING, Status.BACKOFF}
    ),
    Status.DONE: frozenset({Status.WAITING}),
    Status.FAILED: frozenset({Status.WAITING}),
    Status.CANCELLED: frozenset(),
}

ENDED = frozenset({Status.DONE, Status.FAILED, Status.CANCELLED})
"""A result was announced, or a person gave up: nothing more happens by itself."""
