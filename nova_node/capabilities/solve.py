"""Python from a description, proven by running it: code.solve. See docs/code-solve.md."""

from __future__ import annotations

from typing import Annotated, Any

from nova_node.capability import Limits, allowance_uusd, capability

Model = Annotated[str, "name of a model; any if empty"]
Models = Annotated[list[Any], "names of models, best first"]
LocalOnly = Annotated[bool, "only models and sandboxes of nodes with models.local=yes"]

WALL_S = 1800.0


@capability("code.solve", waits=True, limits=Limits(wall_s=WALL_S))
async def solve(
    description: Annotated[str, "what the code is to do"],
    examples: Annotated[list[Any], 'as {"input": 3, "output": 9}, or {"args": [3, 4], ...}'] = [],  # noqa: B006
    tests: Annotated[str, "Python with asserts that call the entry"] = "",
    entry: Annotated[str, "name of the function"] = "solve",
    attempts: Annotated[int, "at most so many times"] = 4,
    best_of: Annotated[int, "candidates an attempt; the best is chosen by running them"] = 1,
    model: Model = "",
    models: Models = [],  # noqa: B006
    local_only: LocalOnly = False,
    max_tokens: Annotated[int, "of one answer"] = 2048,
    total_tokens: Annotated[int, "of all prompts and answers; 0 for no bound"] = 0,
    timeout_s: Annotated[float, "of one run in the sandbox"] = 20.0,
    memory_mib: Annotated[int, "of one run in the sandbox"] = 256,
    image: Annotated[str, "name of a sandbox image; the node's first one if empty"] = "",
    seed: Annotated[int, "of the first prompt"] = 0,
    fresh: Annotated[bool, "whether nothing that was answered before will do"] = False,
) -> dict[str, Any]:
    """Writes Python for a description, runs it in a sandbox, and mends it until its examples and
    tests hold or a bound is reached.

    Returns the code, whether it passed, what it printed, and the trail of the work."""
    from nova_node.models.prompting import route_of
    from nova_node.models.solving.problem import Bounds, bounds_of, problem_of
    from nova_node.models.solving.work import Sandbox
    from nova_node.models.solving.work import solve as work

    bounds = Bounds(attempts, best_of, max_tokens, total_tokens, allowance_uusd(), timeout_s)
    return await work(
        problem_of(description, examples, tests, entry),
        bounds_of(bounds),
        route_of(model, models, local_only),
        Sandbox(image, memory_mib),
        seed,
        fresh,
    )
