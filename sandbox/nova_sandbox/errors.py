"""What this package raises on purpose. What becomes of a program is never an exception: see events.

SandboxError              code, message, fix; retryable: the same may succeed later or elsewhere
├── EngineUnavailable     retryable: the engine does not answer, or lost a container
├── Exhausted             retryable: too many wait for a container, or one waited too long
├── ImageMissing          no such image on this machine
├── Insecure              a limit or profile does not bite here, so nothing is offered
└── NotOffered            this machine or configuration does not do what was asked
"""

from __future__ import annotations


class SandboxError(Exception):
    """`code` is a stable word, `fix` tells the reader what to do about it."""

    code = "sandbox"
    retryable = False

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class EngineUnavailable(SandboxError):
    code = "engine_unavailable"
    retryable = True


class Exhausted(SandboxError):
    code = "exhausted"
    retryable = True


class ImageMissing(SandboxError):
    code = "image_missing"


class Insecure(SandboxError):
    code = "insecure"


class NotOffered(SandboxError):
    code = "not_offered"
