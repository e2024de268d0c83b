"""Every error Nova raises on purpose.

NovaError                 code, message, fix
├── Retryable             the same request may succeed later or elsewhere
│   ├── Overloaded        a bounded queue is full
│   ├── Unavailable       a node, stream or blob is out of reach
│   └── Draining          the node takes no new work
└── Terminal              the same request will fail again
    ├── Invalid           the request is wrong
    ├── NotFound          no such task, node, capability or blob
    ├── Refused           not allowed, or not by this version
    ├── Corrupt           bytes do not match their checksum
    └── InUse             somebody else holds the data directory or the port
"""

from __future__ import annotations

from nova_node.core.model import Failure


class NovaError(Exception):
    """`code` is a stable word, `fix` tells the reader what to do about it."""

    code = "internal"
    retryable = False

    def __init__(self, message: str, fix: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if code is not None:
            self.code = code

    def failure(self) -> Failure:
        return Failure(self.code, self.message, self.fix, self.retryable)


class Retryable(NovaError):
    retryable = True


class Overloaded(Retryable):
    code = "overloaded"


class Unavailable(Retryable):
    code = "unavailable"


class Draining(Retryable):
    code = "draining"


class Terminal(NovaError):
    pass


class Invalid(Terminal):
    code = "invalid_argument"


class NotFound(Terminal):
    code = "not_found"


class Refused(Terminal):
    code = "refused"


class Corrupt(Terminal):
    code = "corrupt"


class InUse(Terminal):
    code = "in_use"
