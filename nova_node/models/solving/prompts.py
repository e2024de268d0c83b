"""What a model is told, put together from prompts.toml. Rule: what comes from elsewhere stands between
marks, and the same problem makes the same text, so that a cache can know it again."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from nova_node.models.prompting import fenced
from nova_node.models.solving.checking import Verdict
from nova_node.models.solving.problem import Example, Problem

EXAMPLES_SHOWN = 20
EXAMPLES_CHARS = 8_000
TESTS_CHARS = 20_000

Message = dict[str, str]


@cache
def texts() -> dict[str, str]:
    return tomllib.loads(Path(__file__).with_name("prompts.toml").read_text())


def system(problem: Problem) -> str:
    return texts()["system"].format(entry=problem.entry).strip()


def first(problem: Problem) -> Message:
    """The task, as the first message of every conversation about it."""
    entry = problem.entry
    parts = [texts()["task"].format(entry=entry, task=fenced("task", problem.description))]
    if problem.examples:
        lines = fenced("examples", _examples(problem.entry, problem.examples))
        parts.append(texts()["examples"].format(examples=lines))
    if problem.tests:
        tests = fenced("tests", problem.tests[:TESTS_CHARS])
        parts.append(texts()["tests"].format(tests=tests))
    if not problem.examples and not problem.tests:
        parts.append(texts()["value"].format(entry=entry))
    return {"role": "user", "content": "\n".join(part.strip() + "\n" for part in parts)}


def repair(code: str, verdict: Verdict, earlier: Sequence[str]) -> list[Message]:
    """What was written last, and what came of it: the model sees no more than that of its past."""
    told = texts()["repair"].format(
        held=verdict.held, checks=verdict.checks, failure=fenced("failure", verdict.failure)
    )
    if earlier:
        told += texts()["earlier"].format(earlier="\n".join(f"- {each}" for each in earlier))
    return [
        {"role": "assistant", "content": f"```python\n{code}```"},
        {"role": "user", "content": told.strip()},
    ]


def no_code(problem: Problem) -> list[Message]:
    return [{"role": "user", "content": texts()["no_code"].format(entry=problem.entry).strip()}]


def _examples(entry: str, examples: Sequence[Example]) -> str:
    lines = list[str]()
    for each in examples[:EXAMPLES_SHOWN]:
        args = ", ".join(_json(arg) for arg in each.args)
        lines.append(
            f"{entry}({args})" + (f" returns {_json(each.output)}" if each.expects else "")
        )
    return "\n".join(lines)[:EXAMPLES_CHARS]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
