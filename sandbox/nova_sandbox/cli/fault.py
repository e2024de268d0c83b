"""How an error reaches a person: one message, one fix, an exit code, no traceback."""

from __future__ import annotations

from typing import IO, Any

import click

from nova_sandbox.errors import EngineUnavailable, Exhausted, Insecure, NotOffered, SandboxError

EXIT_LIMIT = 4
EXIT_REFUSED = 5


class Fault(click.ClickException):
    def __init__(self, message: str, fix: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.fix = fix
        self.exit_code = exit_code  # pyright: ignore[reportAttributeAccessIssue]

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {printable(self.message)}", err=True, file=file)
        if self.fix:
            click.echo(f"  fix: {printable(self.fix)}", err=True, file=file)


def fault_of(error: SandboxError) -> Fault:
    match error:
        case EngineUnavailable() | Exhausted():
            code = 3
        case Insecure() | NotOffered():
            code = EXIT_REFUSED
        case _:
            code = 1
    return Fault(error.message, error.fix, code)


def printable(text: str) -> str:
    """Text from outside, with nothing in it that a terminal obeys."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in text)
