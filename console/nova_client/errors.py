"""Every error the client raises on purpose. Each names what to do about it in `fix`.

NovaError               code, message, fix
├── Unreachable         no node answers at the address
├── Timeout             the time given ran out; the task itself goes on
├── Refused             the node will not do it (not allowed, draining, another version)
│   └── Overloaded      a bounded queue is full; later it will do
├── Invalid             the request is wrong
├── NotFound            no such task, node, capability or blob
├── TaskFailed          the task ended as a dead letter; `traceback` is of the capability's code
└── TaskCancelled       the task was cancelled
"""

from __future__ import annotations


class NovaError(Exception):
    """`code` is a stable word (docs/errors.md), `fix` tells the reader what to do about it."""

    code = "internal"

    def __init__(self, message: str, fix: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if code is not None:
            self.code = code


class Unreachable(NovaError):
    code = "unavailable"


class Timeout(NovaError, TimeoutError):
    code = "deadline"


class Refused(NovaError):
    code = "refused"


class Overloaded(Refused):
    code = "overloaded"


class Invalid(NovaError):
    code = "invalid_argument"


class NotFound(NovaError):
    code = "not_found"


class TaskFailed(NovaError):
    code = "task_failed"

    def __init__(self, message: str, fix: str = "", code: str | None = None, traceback: str = ""):
        super().__init__(message, fix, code)
        self.traceback = traceback


class TaskCancelled(NovaError):
    code = "cancelled"


BY_CODE: dict[str, type[NovaError]] = {
    "unavailable": Unreachable,
    "deadline": Timeout,
    "refused": Refused,
    "not_dead": Refused,
    "draining": Refused,
    "forbidden": Refused,
    "unauthenticated": Refused,
    "overloaded": Overloaded,
    "invalid_argument": Invalid,
    "out_of_range": Invalid,
    "not_found": NotFound,
}


def from_code(code: str, message: str, fix: str) -> NovaError:
    """The error a node's answer stands for; NovaError for a code unknown to this version."""
    kind = BY_CODE.get(code, NovaError)
    if code.startswith(("identity_", "token_", "mandate_")):
        kind = Refused
    return kind(message, fix, code or None)
