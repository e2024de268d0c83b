"""Puts the chunks to models, many at once, and gathers what stands up to a check."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from nova_node.answer import BadArgument
from nova_node.capability import say
from nova_node.models.prompting import (
    Prompt,
    Reply,
    Route,
    cost_usd,
    send,
    together,
    told_usage,
    total,
)
from nova_node.models.specialists import pack as packs
from nova_node.models.specialists.chunks import Chunk, chunks_of
from nova_node.models.specialists.findings import SCHEMA, SEVERITIES, Finding, findings_of, merged
from nova_node.models.specialists.source import Skipped, Source

CHUNKS_MAX = 500
AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Job:
    pack: packs.Pack
    sources: Sequence[Source]
    skipped: Sequence[Skipped]
    #: the sources are a change, not whole files
    changed: bool
    #: what the caller has to say about them
    about: str
    chunk_tokens: int
    max_tokens: int
    #: whether nothing that was answered before will do
    fresh: bool
    allowance_uusd: int


async def look(job: Job, route: Route) -> dict[str, Any]:
    """The result of a specialist. Raises Failed when no chunk could be looked at."""
    chunks = chunks_of(job.sources, job.chunk_tokens)
    if len(chunks) > CHUNKS_MAX:
        raise BadArgument(
            f"{len(job.sources):,} files make {len(chunks):,} prompts, more than {CHUNKS_MAX}",
            "give fewer files, or a model with a larger window and more chunk_tokens",
        )
    room = asyncio.Semaphore(AT_ONCE)
    share = job.allowance_uusd // max(1, len(chunks))
    if job.allowance_uusd and not share:
        raise BadArgument(f"the allowance is too small for {len(chunks)} prompts", "raise it")

    async def one(number: int, chunk: Chunk) -> tuple[Reply, list[Finding], Counter[str]]:
        async with room:
            reply = await send(_prompt(job, chunk, share), route.turned(number))
        if reply.failed:
            say(f"{_named(chunk)}: {reply.failed}\n")
            return reply, [], Counter()
        found, dropped = findings_of(reply.parsed, chunk.parts, job.pack.needs_suggestion)
        say(f"{_named(chunk)}: {len(found)} findings, {dropped.total()} dropped\n")
        return reply, found, dropped

    looked = await together(one(n, chunk) for n, chunk in enumerate(chunks))
    return _result(job, chunks, looked)


def _prompt(job: Job, chunk: Chunk, share_uusd: int) -> Prompt:
    content = packs.question(chunk, job.about, job.changed)
    return Prompt(
        ({"role": "user", "content": content},),
        packs.system(job.pack),
        job.max_tokens,
        temperature=0.0,
        json_schema=SCHEMA,
        fresh=job.fresh,
        allowance_uusd=share_uusd,
    )


def _named(chunk: Chunk) -> str:
    first = chunk.parts[0].name[:80].encode("ascii", "backslashreplace").decode()
    first = "".join(sign if sign.isprintable() else "?" for sign in first)
    return first if len(chunk.parts) == 1 else f"{first} and {len(chunk.parts) - 1} more"


def _result(
    job: Job, chunks: list[Chunk], looked: list[tuple[Reply, list[Finding], Counter[str]]]
) -> dict[str, Any]:
    replies = [reply for reply, _, _ in looked]
    failures = [each.failure for each in replies if each.failure]
    if failures and len(failures) == len(replies):
        raise failures[0]
    kept, twice = merged(finding for _, found, _ in looked for finding in found)
    dropped = sum((dropped for _, _, dropped in looked), Counter(twice=twice))
    counts = Counter(each.severity for each in kept)
    used = total(replies)
    return {
        "findings": [asdict(each) for each in kept],
        "counts": {name: counts[name] for name in SEVERITIES},
        "dropped": {why: count for why, count in sorted(dropped.items()) if count},
        "files": len({source.name for source in job.sources}),
        "skipped": [asdict(each) for each in job.skipped],
        "prompts": len(chunks),
        "failed": [
            {"files": [part.name for part in chunk.parts], "code": reply.failed}
            for chunk, reply in zip(chunks, replies, strict=True)
            if reply.failed
        ],
        "cut_off": sum(each.finish == "length" for each in replies),
        "pack": f"{job.pack.name}/{job.pack.version}",
        "models": sorted({each.model for each in replies if each.model}),
        "usage": told_usage(used),
        "cost_usd": cost_usd(used),
    }
