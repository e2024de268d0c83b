"""How an error reaches a person: one message, one fix, an exit code, no traceback."""

from __future__ import annotations

from typing import IO, Any

import click

from nova_node.core.errors import Invalid, NovaError, Refused, Unavailable

EXIT_FAILED = 1


class Fault(click.ClickException):
    exit_code = EXIT_FAILED

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message)
        self.fix = fix

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"error: {printable(self.message)}", err=True, file=file)
        if self.fix:
            click.echo(f"  fix: {printable(self.fix)}", err=True, file=file)


class UsageFault(Fault):
    exit_code = 2


class UnreachableFault(Fault):
    exit_code = 3


class RefusedFault(Fault):
    exit_code = 5


def fault_of(error: NovaError) -> Fault:
    match error:
        case Invalid():
            kind = UsageFault
        case Refused():
            kind = RefusedFault
        case Unavailable():
            kind = UnreachableFault
        case _:
            kind = Fault
    return kind(error.message, error.fix)


def printable(text: str) -> str:
    """Text from outside, with nothing in it that a terminal obeys."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)
