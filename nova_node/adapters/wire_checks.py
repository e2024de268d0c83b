"""What may stand in bytes from outside: the limits, and the checks that hold them.

Rule: what a codec writes, the same codec reads. So free text is made `sendable` or `clean` on the
way out and merely checked on the way in, and every check raises Invalid with its fix.
"""

from __future__ import annotations

import re
from collections.abc import Sized

from nova_node.core.errors import Invalid

MESSAGE_MAX_BYTES = 16 << 20
"""One gRPC message: room for eight of the largest values, far below what a node can hold."""

INLINE_MAX_BYTES = 2 << 20
"""A value or argument inside a message; larger bytes are a blob, which moves by ranges."""

ARGS_MAX_BYTES = 2 << 20
"""The JSON arguments of one call, which is parsed in one go by the worker."""

CALLS_MAX = 100_000
"""Calls, outcomes or fences in one message: some 50 MB of Python values and 100 ms of work."""

GROUPS_MAX = 1024
"""Groups of a submit: each has its own demand to rank."""

BLOBS_MAX = 100_000
"""Blobs named beside calls: one for each call at most."""

HOLDERS_MAX = 16
"""Nodes worth asking for one blob."""

INPUTS_MAX = 64
"""Binary arguments of a call: as many as a function may reasonably have."""

RESULT_FILES_MAX = 1000
"""Files that come with one result."""

LABELS_MAX = 16
"""Labels that a task may demand."""

CARD_LABELS_MAX = 64
"""Labels that a node may carry."""

CAPABILITIES_MAX = 1000
"""Capabilities on one card: a card is one unary message."""

PARAMS_MAX = 64
WARNINGS_MAX = 1000

DEFAULT_MAX_BYTES = 4096
"""JSON of a parameter's default: it is shown in one line of help."""

MEMBERS_MAX = 4096
"""Members in one gossip message: some 1 MB."""

SAID_MAX = 10_000
"""Pieces of output in one message."""

SAID_MAX_CHARS = 64 << 10
"""One piece of output; longer lines come in several."""

NAME_MAX_CHARS = 63
"""Names, as in DNS labels and mDNS instances."""

PLATFORM_MAX_CHARS = 255
FILE_NAME_MAX_CHARS = 1024
MESSAGE_MAX_CHARS = 4096
"""What a failure says, and what a capability's documentation says."""

TRACEBACK_MAX_CHARS = 16 << 10

MANDATE_MAX_BYTES = 4 << 20
"""Of what a submitter signs for one batch: 32 bytes a call, the demands and its certificates."""

NUMBER_MAX = (1 << 53) - 1
"""Task numbers, sizes, incarnations: exact in JSON and in DuckDB, positive in SQLite."""

U32_MAX = (1 << 32) - 1
"""Gauges above it are sent as it."""

DURATION_MAX_S = 1e9
"""Some 31 years: longer ones are mistakes, and would overflow a date."""

TIME_MAX_S = 1e11
"""The year 5138."""

_NODES_REMEMBERED_MAX = 4096

_NODE = re.compile(r"[a-z0-9]{1,63}")
_BLOB = re.compile(r"[0-9a-f]{64}")
_CAPABILITY = re.compile(r"[a-z][a-z0-9_-]{0,62}\.[a-z][a-z0-9_-]{0,62}")
_REQUEST = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SUBMITTER = re.compile(r"[a-z]{1,16}/[a-z0-9][a-z0-9_-]{0,62}")
_REFERENCE = re.compile(r"(secret|env|file|keyring):[A-Za-z0-9._/@+-]{1,255}")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
# no "/": an address from gossip must not name a local socket or another resolver
_ADDRESS = re.compile(r"[A-Za-z0-9._:\[\]%-]{0,255}")

# Control, format, bidirectional and surrogate characters; listed, not asked of the interpreter,
# whose Unicode version may differ from the peer's.
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_FORMAT = (
    "\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f"
)
_NOT_IN_PROSE = re.compile(f"[{_CONTROL}{_FORMAT}]")
_NOT_IN_NAME = re.compile(f"[\t\n{_CONTROL}{_FORMAT}]")

_nodes: set[str] = set()


def check_node(node: str) -> str:
    """A node id. Remembers good ones: the hot path asks for the same few again and again."""
    if node in _nodes:
        return node
    if not _NODE.fullmatch(node):
        raise Invalid(f"{_shown(node)} is not a node id", "use 1 to 63 of a-z and 0-9")
    if len(_nodes) >= _NODES_REMEMBERED_MAX:
        _nodes.clear()
    _nodes.add(node)
    return node


def check_blob(blob_id: str) -> str:
    if not _BLOB.fullmatch(blob_id):
        raise Invalid(f"{_shown(blob_id)} is not a blob id", "use 64 lower-case hex digits")
    return blob_id


def check_capability(name: str) -> str:
    if not _CAPABILITY.fullmatch(name):
        raise Invalid(
            f"{_shown(name)} is not a capability",
            "name it area.verb, in lower case, as in text.count; `nova capabilities` lists them",
        )
    return name


def check_request(request_id: str) -> str:
    if not _REQUEST.fullmatch(request_id):
        raise Invalid(
            f"{_shown(request_id)} is not a request id", "use 1 to 64 of A-Z, a-z, 0-9, _ and -"
        )
    return request_id


def check_code(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise Invalid(f"{_shown(code)} is not an error code", "use a word of docs/errors.md")
    return code


def check_identifier(name: str) -> str:
    if not _IDENTIFIER.fullmatch(name):
        raise Invalid(
            f"{_shown(name)} is not a parameter's name",
            "use at most 63 letters, digits and _, not beginning with a digit",
        )
    return name


def check_address(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise Invalid(f"{_shown(address)} is not an address", "write it as host:port")
    return address


def check_file_name(name: str) -> str:
    """A relative path that stays where it is put."""
    if (
        not 0 < len(name) <= FILE_NAME_MAX_CHARS
        or _NOT_IN_NAME.search(name)
        or name.startswith("/")
        or "\\" in name
        or ".." in name.split("/")
    ):
        raise Invalid(
            f"{_shown(name)} cannot name an input file",
            f"use a relative path without .., at most {FILE_NAME_MAX_CHARS} printable characters",
        )
    return name


def check_name(name: str, what: str, least: int = 1) -> str:
    """One line of printable characters for people: a node's name, a version, a label."""
    if not least <= len(name) <= NAME_MAX_CHARS or _NOT_IN_NAME.search(name):
        raise Invalid(
            f"{_shown(name)} cannot be {what}",
            f"use {least} to {NAME_MAX_CHARS} printable characters",
        )
    return name


def check_submitter(submitter: str) -> str:
    """Who submitted: "<role>/<id>"."""
    if not _SUBMITTER.fullmatch(submitter):
        raise Invalid(f"{_shown(submitter)} names no submitter", "use <role>/<id>")
    return submitter


def check_reference(reference: str) -> str:
    """Where a secret is kept: "<store>:<name>"."""
    if not _REFERENCE.fullmatch(reference):
        raise Invalid(
            f"{_shown(reference)} is not a reference to a secret",
            "use secret:NAME, env:NAME, file:PATH or keyring:NAME",
        )
    return reference


def check_prose(text: str, what: str, max_chars: int) -> str:
    """Printable characters, newlines and tabs."""
    if len(text) > max_chars or _NOT_IN_PROSE.search(text):
        raise Invalid(
            f"{what} is too long or holds control characters",
            f"send at most {max_chars} printable characters",
        )
    return text


def check_count(items: Sized, what: str, most: int) -> None:
    if len(items) > most:
        raise Invalid(f"{len(items)} {what} in one message", f"send at most {most} at a time")


def check_number(number: int, what: str, most: int = NUMBER_MAX) -> int:
    if not 0 <= number <= most:
        raise Invalid(f"{what} is {number}", f"use a number from 0 to {most}")
    return number


def check_seconds(seconds: float, what: str, most: float = DURATION_MAX_S) -> float:
    if not 0.0 <= seconds <= most:  # false for NaN too
        raise Invalid(f"{what} is {seconds}", f"use seconds from 0 to {most:.0f}")
    return seconds


def sendable(text: str, max_chars: int) -> str:
    """`text` cut to length, without the lone surrogates that UTF-8 cannot carry."""
    if len(text) > max_chars:
        text = text[: max_chars - 1] + "…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def clean(text: str, max_chars: int) -> str:
    """`text` as `check_prose` lets it pass."""
    return _NOT_IN_PROSE.sub("\ufffd", sendable(text, max_chars))


def _shown(text: str) -> str:
    return ascii(text if len(text) <= 80 else text[:79] + "…")
