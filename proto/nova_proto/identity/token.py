"""The text that lets somebody in once: `nova1.<root hash>.<id>.<secret>`.

It holds the hash of the root's public key, so that its reader knows whom to send the secret to.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import NamedTuple

from nova_proto.identity.errors import IdentityError

SECRET_BYTES = 32
TEXT_MAX = 256

_TEXT = re.compile(
    r"nova1\.([0-9a-f]{64})\.([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\.([\w-]{43})", re.A
)


class Token(NamedTuple):
    """`id` names the token, and the person it is for, or the node when it was made for one."""

    root_sha256: bytes
    id: str
    secret: bytes

    @property
    def text(self) -> str:
        secret = base64.urlsafe_b64encode(self.secret).rstrip(b"=").decode()
        return f"nova1.{self.root_sha256.hex()}.{self.id}.{secret}"

    def __repr__(self) -> str:
        return f"Token({self.id})"


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def parse_token(text: str) -> Token:
    """White space around it is no part of it. Raises IdentityError: token_invalid."""
    match = _TEXT.fullmatch(text.strip()) if len(text) <= TEXT_MAX else None
    if match is not None:
        token = Token(bytes.fromhex(match[1]), match[2], base64.urlsafe_b64decode(match[3] + "="))
        if token.text == match[0]:
            return token
    raise IdentityError(
        "token_invalid",
        "this is not a whole token",
        "copy all of the line that `nova-node token create` printed, from nova1. on",
    )


def secret_hash(secret: bytes) -> bytes:
    """What is kept of a secret, 32 bytes."""
    return hashlib.sha256(secret).digest()
