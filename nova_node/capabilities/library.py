"""Functions that models wrote for this person: library.find, library.list. See docs/models-cache.md.

Rule: they are text; nothing here runs one.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from nova_node.capability import BadArgument, Limits, Offer, capability, setting

LABEL = "library.on"
"""Each node has a library of its own; by this label it is found."""

ROWS_MAX = 1_000
QUERY_CHARS = 10_000
LIMITS = Limits(wall_s=60.0)

Most = Annotated[int, "so many at most"]


def offer() -> Offer:
    try:
        name = str(setting("name"))
    except KeyError:
        return Offer()
    return Offer({LABEL: re.sub(r"[^A-Za-z0-9._-]", "-", name)[:63]})


@capability("library.find", check=offer, waits=True, limits=LIMITS)
async def find(
    query: Annotated[str, "what a function should be good for"], limit: Most = 10
) -> list[dict[str, Any]]:
    """Finds functions that models wrote and that passed their checks, on the node that runs this.

    Returns them best first, each with its source and how alike it is."""
    if not query.strip() or len(query) > QUERY_CHARS:
        raise BadArgument(
            f"the query has {len(query):,} characters",
            f"give 1 to {QUERY_CHARS:,}; or library.list",
        )
    return await _found(query, limit)


@capability("library.list", check=offer, waits=True, limits=LIMITS)
async def list_(limit: Most = 100) -> list[dict[str, Any]]:
    """Lists functions that models wrote and that passed their checks, on the node that runs this.

    Returns the newest first, each with its source."""
    return await _found("", limit)


async def _found(query: str, limit: int) -> list[dict[str, Any]]:
    from nova_node.models import library

    if not 1 <= limit <= ROWS_MAX:
        raise BadArgument(f"limit is {limit}", f"give 1 to {ROWS_MAX:,}")
    return [
        {
            "name": kept.name,
            "signature": kept.signature,
            "about": kept.about,
            "source": kept.source,
            "made_at": kept.made_at,
            "passed": kept.passed,
            "likeness": round(likeness, 3),
        }
        for kept, likeness, _ in await library.find(query, limit)
    ]
