"""Does what the solver says: prompts and runs in the sandbox, both as tasks of the mesh."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from nova_node.answer import BadArgument
from nova_node.capability import AskFailed, ask, say
from nova_node.models import library
from nova_node.models.prompting import DRAINING, Prompt, Reply, Route, final, send, together
from nova_node.models.solving import checking, prompts
from nova_node.models.solving.checking import Verdict
from nova_node.models.solving.problem import Bounds, Problem
from nova_node.models.solving.solver import Check, End, Generate, Solver
from nova_node.models.solving.told import result_of

NO_CODE = Verdict(False, why="no_code")
TEMPERATURE = 0.7
"""Of several candidates: at 0 they would all be one."""
PRINTED_CHARS = 100_000
WAIT_S = 300.0
"""For a node that has a sandbox, and for its turn there."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where programs are run, as the caller wants it."""

    image: str = ""
    memory_mib: int = 256

    @property
    def labels(self) -> dict[str, str]:
        return {f"sandbox.image.{self.image}": "yes"} if self.image else {}


async def solve(
    problem: Problem,
    bounds: Bounds,
    route: Route,
    sandbox: Sandbox,
    seed: int = 0,
    fresh: bool = False,
) -> dict[str, Any]:
    """The result of code.solve. Says the trail as it grows. Raises Failed when nothing came of the
    first attempt through no fault of the code, BadArgument when the tests cannot be run."""
    solver = Solver(problem, bounds)
    aside = await library.offer(problem.description)
    step = solver.begin()
    said = 0
    while not isinstance(step, End):
        match step:
            case Generate():
                replies = await _generate(solver, step, route, seed, fresh, aside)
                step = solver.written(replies)
                failures = [each.failure for each in replies if each.failure]
                if len(failures) == len(replies) and not solver.candidates:
                    raise failures[0]
            case Check(codes):
                try:
                    verdicts = await _check(problem, codes, bounds.timeout_s, route, sandbox)
                except AskFailed as failure:
                    if failure.code == DRAINING:
                        raise
                    if not solver.candidates:
                        raise final(failure) from None
                    step = solver.stopped(failure.code)
                else:
                    _refuse_unfit(verdicts)
                    step = solver.checked(verdicts)
        say("".join(entry.line() for entry in solver.trail[said:]))
        said = len(solver.trail)
    if problem.proves and step.best and step.best.verdict.passed:
        await library.keep(step.best.code, problem.entry, problem.description)
    return result_of(solver, step)


async def _generate(
    solver: Solver, step: Generate, route: Route, seed: int, fresh: bool, aside: str
) -> list[Reply]:
    made = [
        Prompt(
            step.messages,
            prompts.system(solver.problem),
            step.reply_tokens,
            TEMPERATURE if step.count > 1 else None,
            seed + (solver.attempt - 1) * step.count + number,
            fresh=fresh or step.fresh,
            aside=aside,
            allowance_uusd=step.allowance_uusd,
        )
        for number in range(step.count)
    ]
    return await together(send(each, route.turned(i)) for i, each in enumerate(made))


async def _check(
    problem: Problem, codes: tuple[str, ...], timeout_s: float, route: Route, sandbox: Sandbox
) -> list[Verdict]:
    """Raises AskFailed when one could not be run at all."""
    labels = {**route.labels, **sandbox.labels}

    async def one(code: str) -> Verdict:
        if not code:
            return NO_CODE
        nonce, printed = secrets.token_hex(16), Printed()
        args: dict[str, Any] = {
            "code": checking.program(),
            "image": sandbox.image,
            "memory_mib": sandbox.memory_mib,
            "timeout_s": timeout_s + checking.MARGIN_S,
            "check": False,
        }
        stdin = {"stdin_bytes": checking.request_of(problem, code, nonce, timeout_s)}
        within_s = timeout_s + WAIT_S
        answer = await ask(
            "python.run", args, inputs=stdin, labels=labels, timeout_s=within_s, say=printed.add
        )
        return checking.verdict_of(problem, answer.value, nonce, printed.text)

    return await together(one(code) for code in codes)


class Printed:
    """The beginning of what a program wrote."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, piece: str) -> None:
        self.text += piece[: PRINTED_CHARS - len(self.text)]


def _refuse_unfit(verdicts: list[Verdict]) -> None:
    for each in verdicts:
        if each.unfit:
            raise BadArgument(each.unfit, "give Python with asserts that call the entry")
