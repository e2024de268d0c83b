"""The best of several answers: llm.best. See docs/code-solve.md."""

from __future__ import annotations

from typing import Annotated, Any

from nova_node.capability import BadArgument, Limits, allowance_uusd, capability

K_MAX = 16
PROMPT_CHARS = 400_000
WALL_S = 900.0


@capability("llm.best", waits=True, limits=Limits(wall_s=WALL_S))
async def best(
    prompt: Annotated[str, "the question"],
    k: Annotated[int, "so many answers"] = 3,
    judge: Annotated[str, 'name of a model, or "vote": the models of the answers decide'] = "vote",
    system: Annotated[str, "what the models are told before"] = "",
    model: Annotated[str, "name of a model; any if empty"] = "",
    models: Annotated[list[Any], "names of models, among which the answers are spread"] = [],  # noqa: B006
    local_only: Annotated[bool, "only models of nodes with models.local=yes"] = False,
    max_tokens: Annotated[int, "of one answer"] = 1024,
    temperature: float = 0.8,
    seed: Annotated[int, "of the first answer"] = 0,
    fresh: Annotated[bool, "whether no ballot that was cast before will do, either"] = False,
) -> dict[str, Any]:
    """Asks for several answers at once and has the best one chosen.

    Returns it with all answers, all ballots, and what the extra cost bought."""
    from nova_node.models.best_of.work import Contest
    from nova_node.models.best_of.work import best as work
    from nova_node.models.prompting import route_of

    if not prompt.strip() or len(prompt) > PROMPT_CHARS:
        raise BadArgument(
            f"the prompt has {len(prompt):,} characters", f"give 1 to {PROMPT_CHARS:,}"
        )
    if not 2 <= k <= K_MAX:
        raise BadArgument(f"k is {k}", f"give 2 to {K_MAX}; llm.chat gives one answer")
    if not judge.strip():
        raise BadArgument("there is no judge", 'name a model, or "vote"')
    contest = Contest(
        prompt, system, k, judge, max_tokens, temperature, seed, fresh, allowance_uusd()
    )
    return await work(contest, route_of(model, models, local_only))
