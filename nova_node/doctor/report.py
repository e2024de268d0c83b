"""Findings in words, and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from nova_node.doctor.decide import worst
from nova_node.doctor.facts import Finding

SCHEMA = 1


def as_text(found: Sequence[Finding]) -> str:
    width = max((len(finding.check) for finding in found), default=0)
    lines: list[str] = []
    for finding in found:
        lines.append(f"{finding.verdict.value:<4}  {finding.check:<{width}}  {finding.what}")
        indent = " " * (width + 8)
        if finding.why:
            lines.append(f"{indent}{finding.why}")
        if finding.fix:
            lines.append(f"{indent}fix: {finding.fix}")
    counts = Counter(finding.verdict.value for finding in found)
    lines.append(", ".join(f"{counts[word]} {word}" for word in ("ok", "warn", "fail")))
    return "\n".join(lines)


def as_json(found: Sequence[Finding]) -> dict[str, Any]:
    findings = [{**finding._asdict(), "verdict": finding.verdict.value} for finding in found]
    return {"schema": SCHEMA, "verdict": worst(list(found)).value, "findings": findings}
