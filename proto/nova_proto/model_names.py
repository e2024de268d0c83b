"""How a node that has a model is labelled, so that a task can ask for one."""

from __future__ import annotations

import re
from hashlib import sha256

_SLUG_MAX = 57
_DIGEST_CHARS = 8

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


def model_label(name: str) -> str:
    """The key, such as model.openai-gpt-x; its value is `yes`. A label's key has 63 signs at most."""
    slug = _UNFIT.sub("-", name)
    if len(slug) > _SLUG_MAX:
        digest = sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
        slug = f"{slug[: _SLUG_MAX - _DIGEST_CHARS - 1]}-{digest}"
    return f"model.{slug}"
