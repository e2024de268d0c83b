"""The course of one solution, as a machine: what happened goes in, what is to be done next comes out.

    Generate -> written(replies) -> Check -> checked(verdicts) -> End, or Generate with the failure in view

Rule: no I/O and no chance; bounded by attempts, tokens and money, whichever comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nova_node.answer import Usage
from nova_node.models.prompting import Reply
from nova_node.models.solving import prompts, trail
from nova_node.models.solving.checking import Verdict
from nova_node.models.solving.extract import code_of
from nova_node.models.solving.problem import Bounds, Problem
from nova_node.models.solving.prompts import Message
from nova_node.models.solving.trail import Entry

EARLIER_SHOWN = 5
OVER_ALLOWANCE = ("over_allowance", "model_over_allowance")
"""Codes of prompts that would have cost more than is left."""


@dataclass(frozen=True, slots=True)
class Candidate:
    code: str
    reply: Reply
    verdict: Verdict
    attempt: int
    number: int

    @property
    def cached(self) -> str:
        """How its answer was found without a model; empty when one was asked."""
        return self.reply.usage.cache if self.reply.usage else ""


@dataclass(frozen=True, slots=True)
class Generate:
    """Ask for `count` programs."""

    messages: tuple[Message, ...]
    count: int
    reply_tokens: int
    #: each; 0: no bound
    allowance_uusd: int
    #: whether an answer from the cache would be of no use
    fresh: bool


@dataclass(frozen=True, slots=True)
class Check:
    """Run these, in this order; some may be empty, and are not run."""

    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class End:
    #: solved, ran (there was nothing to check), attempts, tokens, money, or the code of a failure
    ended: str
    #: the best there is
    best: Candidate | None


Step = Generate | Check | End


@dataclass(slots=True)
class Solver:
    problem: Problem
    bounds: Bounds
    attempt: int = 0
    usage: Usage = Usage()
    charged_uusd: int = 0
    #: all there were, each with its number in its attempt
    replies: list[tuple[int, Reply]] = field(default_factory=list[tuple[int, Reply]])
    candidates: list[Candidate] = field(default_factory=list[Candidate])
    trail: list[Entry] = field(default_factory=list[Entry])
    _replies: tuple[Reply, ...] = ()
    _codes: tuple[str, ...] = ()
    _forgiven: int = 0
    _earlier: list[str] = field(default_factory=list[str])

    def begin(self) -> Step:
        return self._generate((prompts.first(self.problem),))

    def written(self, replies: Sequence[Reply]) -> Step:
        """Of a Generate. All of them failed: there is nothing to go on with."""
        self._replies = tuple(replies)
        self._codes = tuple(code_of(each.text, self.problem.entry) for each in replies)
        for number, (reply, code) in enumerate(zip(replies, self._codes, strict=True), 1):
            self._charge(number, reply)
            self.trail.append(trail.written(self.attempt, number, reply, code))
        if all(each.failed for each in replies):
            code = replies[0].failed
            return self.stopped("money" if code in OVER_ALLOWANCE else code)
        if any(self._codes):
            return Check(self._codes)
        self._earlier.append("no program in the answer")
        first = prompts.first(self.problem)
        return self._next((first, *prompts.no_code(self.problem)))

    def checked(self, verdicts: Sequence[Verdict]) -> Step:
        """Of a Check: a verdict for each of its codes."""
        found = list[Candidate]()
        rows = zip(self._codes, self._replies, verdicts, strict=True)
        for number, (code, reply, verdict) in enumerate(rows, 1):
            if code:
                found.append(Candidate(code, reply, verdict, self.attempt, number))
                self.trail.append(trail.checked(self.attempt, number, verdict))
        self.candidates += found
        if any(each.verdict.passed for each in found):
            return End("solved" if self.problem.proves else "ran", self._best())
        best = max(found, key=_merit)
        messages = [prompts.first(self.problem)]
        if best.cached:
            self._forgiven = 1  # from here on nothing comes from a cache
        else:
            earlier = self._earlier[-EARLIER_SHOWN:]
            messages += prompts.repair(best.code, best.verdict, earlier)
        self._earlier.append(trail.brief(best.verdict))
        return self._next(tuple(messages))

    def stopped(self, code: str) -> End:
        """What was asked for cannot be had: what there is has to do."""
        self.trail.append(trail.gave_up(self.attempt, code))
        return End(code, self._best())

    def _next(self, messages: tuple[Message, ...]) -> Step:
        if ended := self._used_up():
            return self.stopped(ended)
        return self._generate(messages)

    def _used_up(self) -> str:
        bounds, used = self.bounds, self.usage
        if self.attempt >= bounds.attempts + self._forgiven:
            return "attempts"
        if bounds.tokens and used.input_tokens + used.output_tokens >= bounds.tokens:
            return "tokens"
        if bounds.allowance_uusd and self._left_uusd() // bounds.best_of < 1:
            return "money"
        return ""

    def _generate(self, messages: tuple[Message, ...]) -> Generate:
        self.attempt += 1
        bounds = self.bounds
        tokens = bounds.reply_tokens
        if bounds.tokens:
            left = bounds.tokens - self.usage.input_tokens - self.usage.output_tokens
            tokens = max(1, min(tokens, left // bounds.best_of))
        share = self._left_uusd() // bounds.best_of if bounds.allowance_uusd else 0
        fresh = self.attempt > 1 or bounds.best_of > 1
        return Generate(messages, bounds.best_of, tokens, share, fresh)

    def _left_uusd(self) -> int:
        return max(0, self.bounds.allowance_uusd - self.charged_uusd)

    def _charge(self, number: int, reply: Reply) -> None:
        self.replies.append((number, reply))
        if reply.usage:
            self.usage = self.usage.plus(reply.usage)
        self.charged_uusd += reply.charged_uusd

    def _best(self) -> Candidate | None:
        return max(self.candidates, key=_merit, default=None)


def _merit(candidate: Candidate) -> tuple[bool, float, int]:
    """The first of equals is the best: max keeps it."""
    verdict = candidate.verdict
    return verdict.passed, verdict.held / max(1, verdict.checks), -_GRAVITY.get(verdict.why, 1)


_GRAVITY = {"": 0, "wrong": 1, "ended": 2}
"""Of what went wrong, where as many checks held; what is not here is as bad as `wrong`."""
