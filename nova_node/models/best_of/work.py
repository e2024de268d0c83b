"""Asks for the answers, has them judged, and tells what that bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nova_node.answer import Usage
from nova_node.capability import say
from nova_node.models.best_of import ballots
from nova_node.models.best_of.ballots import Ballot
from nova_node.models.prompting import (
    Prompt,
    Reply,
    Route,
    cost_usd,
    dollars,
    send,
    together,
    told_usage,
    total,
)

VOTE = "vote"
BALLOT_TOKENS = 256
JURY_SHARE = 4
"""One part in so many of the allowance is kept for the jury."""


@dataclass(frozen=True, slots=True)
class Contest:
    prompt: str
    system: str
    k: int
    #: name of a model, or "vote": each answer's model has a ballot
    judge: str
    max_tokens: int
    temperature: float
    seed: int
    #: answers are new at any rate: those of other seeds would be taken for each other
    fresh: bool
    allowance_uusd: int


async def best(contest: Contest, route: Route) -> dict[str, Any]:
    """The result of llm.best. Raises Failed when no answer came."""
    replies = await _answers(contest, route)
    answers = [each for each in replies if not each.failed]
    if not answers:
        raise next(each.failure for each in replies if each.failure)
    texts = [each.text for each in answers]
    found, jury, papers = (
        ballots.agreed(texts) if len(texts) > 1 else 1,
        list[Reply](),
        list[Ballot](),
    )
    how = "they agree" if found else f"judged by {contest.judge}"
    if not found:
        jury, papers = await _judged(contest, route, answers)
        found = ballots.winner(papers)
    chosen = answers[found - 1]
    extra = total([*(each for each in replies if each is not replies[0]), *jury])
    bought = _bought(found, len(answers), papers, how, extra)
    say(chosen.text + "\n")
    used = total([*replies, *jury])
    return {
        "text": chosen.text,
        "model": chosen.model,
        "chosen": found,
        "how": how,
        "candidates": [_row(number, each, papers) for number, each in enumerate(answers, 1)],
        "failed": [each.failed for each in replies if each.failed],
        "ballots": [
            {"juror": p.juror, "choice": p.choice, "why": p.why, "order": [*p.order]}
            for p in papers
        ],
        "usage": told_usage(used),
        "cost_usd": cost_usd(used),
        "extra_cost_usd": cost_usd(extra),
        "bought": bought,
    }


async def _answers(contest: Contest, route: Route) -> list[Reply]:
    keep = contest.allowance_uusd // JURY_SHARE
    share = (contest.allowance_uusd - keep) // contest.k
    return await together(
        send(
            Prompt(
                ({"role": "user", "content": contest.prompt},),
                contest.system,
                contest.max_tokens,
                contest.temperature,
                contest.seed + number,
                fresh=True,
                allowance_uusd=share,
            ),
            route.turned(number),
        )
        for number in range(contest.k)
    )


async def _judged(
    contest: Contest, route: Route, answers: Sequence[Reply]
) -> tuple[list[Reply], list[Ballot]]:
    """By one juror that was named, or by the model of each answer, all at once."""
    jurors = [each.model for each in answers] if contest.judge == VOTE else [contest.judge]
    orders = ballots.orders(len(answers), len(jurors), contest.seed)
    texts = [each.text for each in answers]
    share = contest.allowance_uusd // JURY_SHARE // len(jurors)
    replies = await together(
        send(
            Prompt(
                ({"role": "user", "content": ballots.paper(contest.prompt, texts, order)},),
                ballots.texts()["system"].strip(),
                BALLOT_TOKENS,
                temperature=0.0,
                seed=contest.seed + number,
                json_schema=ballots.SCHEMA,
                fresh=contest.fresh,
                allowance_uusd=share,
            ),
            Route((juror,) if juror else (), route.local_only),
        )
        for number, (juror, order) in enumerate(zip(jurors, orders, strict=True))
    )
    return replies, [
        ballots.ballot_of(reply, order) for reply, order in zip(replies, orders, strict=True)
    ]


def _row(number: int, reply: Reply, papers: Sequence[Ballot]) -> dict[str, Any]:
    return {
        "candidate": number,
        "text": reply.text,
        "model": reply.model,
        "node": reply.node,
        "votes": sum(each.choice == number for each in papers),
        "cost_usd": cost_usd(reply.usage or Usage()),
    }


def _bought(found: int, answers: int, papers: Sequence[Ballot], how: str, extra: Usage) -> str:
    """Against the first answer alone."""
    price = f"{answers - 1} more answers and {len(papers)} ballots ({dollars(extra.spent_uusd)})"
    if found == 1:
        return f"{price} bought nothing but certainty: the first answer was chosen ({how})"
    votes = sum(each.choice == found for each in papers)
    stood = f", with {votes} of {len(papers)} ballots" if papers else ""
    return f"{price} bought answer {found} in place of the first ({how}{stood})"
