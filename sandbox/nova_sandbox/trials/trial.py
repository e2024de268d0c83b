"""A hostile program and what has to become of it."""

from __future__ import annotations

from dataclasses import dataclass

from nova_sandbox.events import Status
from nova_sandbox.request import Language

SHORT_S = 1.0
"""For programs that have to be stopped."""

METERS = '''
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)

def met(name, action, *args):
    """Prints the error that an action meets; a C function returns -1 and sets errno."""
    try:
        ctypes.set_errno(0)
        value = action(*args)
        code = ctypes.get_errno() if value == -1 else 0
    except OSError as error:
        code = error.errno
    print(name, errno.errorcode.get(code, code) if code else "nothing")
'''
"""Put before a program that tries one thing after the other."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`says` are lines or parts of lines, regular expressions, all to be found in the output."""

    name: str
    code: str
    status: Status
    says: tuple[str, ...] = ()
    language: Language = "python"
    timeout_s: float | None = None
    files: tuple[str, ...] = ()
    """Names that come back, all of them."""
