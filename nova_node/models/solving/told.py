"""The result of code.solve, as plain values."""

from __future__ import annotations

from typing import Any

from nova_node.models.prompting import cost_usd, dollars, told_usage, total
from nova_node.models.solving.solver import Candidate, End, Solver

OUTPUT_CHARS = 100_000


def result_of(solver: Solver, end: End) -> dict[str, Any]:
    """`passed` is null where there was nothing by which to tell."""
    best = end.best
    verdict = best.verdict if best else None
    passed = bool(verdict and verdict.passed)
    result: dict[str, Any] = {
        "passed": passed if solver.problem.proves or not passed else None,
        "ended": end.ended,
        "code": best.code if best else "",
        "output": verdict.output[:OUTPUT_CHARS] if verdict else "",
        "values": [*verdict.values] if verdict else [],
        "checks": verdict.checks if verdict else 0,
        "held": verdict.held if verdict else 0,
        "failure": verdict.failure if verdict else "",
        "model": best.reply.model if best else "",
        "attempts": solver.attempt,
        "trail": [entry._asdict() for entry in solver.trail],
        "usage": told_usage(solver.usage),
        "cost_usd": cost_usd(solver.usage),
        "cache": _cache(solver, best),
    }
    if solver.bounds.best_of > 1:
        result["best_of"] = _best_of(solver, best)
    return result


def _cache(solver: Solver, best: Candidate | None) -> str:
    if best is None or not best.cached:
        return ""
    checked = solver.problem.proves and best.verdict.passed
    return f"{best.cached}, verified" if checked else best.cached


def _best_of(solver: Solver, best: Candidate | None) -> dict[str, Any]:
    rows = [
        {
            "attempt": each.attempt,
            "candidate": each.number,
            "model": each.reply.model,
            "node": each.reply.node,
            "held": each.verdict.held,
            "checks": each.verdict.checks,
            "passed": each.verdict.passed,
        }
        for each in solver.candidates
    ]
    others = total([reply for number, reply in solver.replies if number > 1])
    extra = cost_usd(others)
    text = _bought(solver, best, dollars(others.spent_uusd))
    return {"k": solver.bounds.best_of, "candidates": rows, "extra_cost_usd": extra, "bought": text}


def _bought(solver: Solver, best: Candidate | None, price: str) -> str:
    """Against what the first candidate of the same attempt would have come to alone."""
    price = f"{solver.bounds.best_of - 1} more of each attempt ({price})"
    if best is None:
        return f"{price} bought nothing: none was a program"
    first = next((c for c in solver.candidates if (c.attempt, c.number) == (best.attempt, 1)), None)
    if first is best:
        return f"{price} bought nothing: the first was as good as any"
    alone = f"held {first.verdict.held} of {first.verdict.checks}" if first else "was no program"
    here = "all" if best.verdict.passed else f"{best.verdict.held}"
    return (
        f"{price} bought a program that holds {here} of {best.verdict.checks} checks; "
        f"the first of that attempt {alone}"
    )
