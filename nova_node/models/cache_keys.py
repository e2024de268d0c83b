"""What makes two questions one: keys of exact matches, scopes of like ones. Pure.

Rule: a key has everything in it that an answer depends on, and for whom it was; a scope has all of that
but the words of the last message, and the numbers in those.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from nova_node.models.gateway import Question
from nova_node.models.spec import Spec

MEANING_MAX_CHARS = 8_000
"""An embedding model leaves out the rest of a longer text, where the difference may be."""

_MARKS = re.compile(r"<<<[a-z]+-[0-9a-f]{12}>>>")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")


def digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:40]


def may_be_kept(question: Question) -> bool:
    """Whoever asks for chance wants another answer each time, unless a seed says which one."""
    return not question.temperature or question.seed is not None


def exact(person: str, spec: Spec, question: Question) -> str:
    return digest("exact", person, _model(spec), question._asdict())


def meaning(question: Question) -> str:
    """The words of the last message; "" where likeness of words would not do."""
    last: Mapping[str, Any] = question.messages[-1] if question.messages else {}
    text = last.get("content")
    if last.get("role") != "user" or not isinstance(text, str) or len(text) > MEANING_MAX_CHARS:
        return ""
    return _MARKS.sub("", text).strip()


def scope(person: str, spec: Spec, embedder: Spec, question: Question) -> str:
    *before, _ = question.messages
    rest = question._replace(messages=before, seed=None)._asdict()
    numbers = _NUMBERS.findall(meaning(question))
    return digest("like", person, _model(spec), _model(embedder), rest, numbers)


def recorded(person: str, task: str, what: object) -> str:
    """Of a question that one task asked, however it was to be answered."""
    return digest("task", person, task, what)


def _model(spec: Spec) -> list[str]:
    """A name may come to mean another model."""
    return [spec.name, spec.provider, spec.model, spec.url]
