"""The one error of this package.

| code | when |
|---|---|
| identity_missing | there is no identity where one is needed |
| identity_malformed | bytes or text that no authority makes |
| identity_untrusted | signed by nobody who is trusted |
| identity_wrong_mesh | of another mesh |
| identity_wrong_name | of somebody else than expected |
| identity_not_yet_valid, identity_expired | outside its time, or a clock is wrong |
| identity_revoked | taken back |
| token_invalid, token_expired, token_used | a token that lets nobody in |
| unavailable | nobody answers there |
"""

from __future__ import annotations


class IdentityError(Exception):
    """`code` is a stable word (docs/errors.md), `fix` tells the reader what to do about it."""

    def __init__(self, code: str, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix


def shown(text: str) -> str:
    """Text from outside as a message may hold it: short, and without control characters."""
    return ascii(text if len(text) <= 80 else text[:80] + "...")
