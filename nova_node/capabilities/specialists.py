"""Specialists for code: review.code, review.security, review.performance, write.tests, write.docs.

All take a diff or files, and return findings that were checked. See docs/specialists.md.
"""

from __future__ import annotations

from typing import Annotated, Any

from nova_node.capability import (
    BadArgument,
    Capability,
    Files,
    Limits,
    allowance_uusd,
    capability,
)

NO_FILES = Files()
WALL_S = 1800.0
INPUT_BYTES = 64 << 20
ABOUT_CHARS = 4_000


def specialist(name: str, doc: str) -> Capability[..., Any]:
    @capability(name, waits=True, limits=Limits(wall_s=WALL_S), doc=doc)
    async def look(
        diff: Annotated[str, "a change, as git diff writes it"] = "",
        files: Annotated[Files, "whole files, in place of a change"] = NO_FILES,
        about: Annotated[str, "what is good to know, such as what the change is for"] = "",
        model: Annotated[str, "name of a model; any if empty"] = "",
        models: Annotated[list[Any], "names of models, among which the prompts are spread"] = [],  # noqa: B006
        local_only: Annotated[bool, "only models of nodes with models.local=yes"] = False,
        chunk_tokens: Annotated[int, "of the files, in one prompt at most"] = 6000,
        max_tokens: Annotated[int, "of one answer"] = 4096,
        fresh: Annotated[bool, "whether nothing that was answered before will do"] = False,
    ) -> dict[str, Any]:
        from nova_node.models.prompting import route_of
        from nova_node.models.specialists.pack import pack
        from nova_node.models.specialists.work import Job
        from nova_node.models.specialists.work import look as work

        if len(about) > ABOUT_CHARS:
            raise BadArgument(f"about has {len(about):,} characters", f"give {ABOUT_CHARS:,}")
        if not 200 <= chunk_tokens <= 1_000_000:
            raise BadArgument(f"chunk_tokens is {chunk_tokens}", "give 200 to 1,000,000")
        sources, skipped = _sources(diff, files)
        given = (bool(diff), about, chunk_tokens, max_tokens, fresh, allowance_uusd())
        return await work(
            Job(pack(name), sources, skipped, *given), route_of(model, models, local_only)
        )

    return look


def _sources(diff: str, files: Files) -> tuple[Any, Any]:
    from nova_node.models.specialists.source import from_diff, from_files

    if bool(diff.strip()) == bool(files):
        raise BadArgument(
            "give either `diff` or `files`", "diff=$(git diff), or --input files=FOLDER"
        )
    if len(diff) + files.size_bytes > INPUT_BYTES:
        raise BadArgument(f"more than {INPUT_BYTES >> 20} MiB", "give less at a time")
    if diff.strip():
        sources, skipped = from_diff(diff)
        fix = "give what git diff writes"
    else:
        sources, skipped = from_files((piece.name, piece.read()) for piece in files)
        fix = "give text files in UTF-8"
    if not sources:
        raise BadArgument("there is no text to look at", fix)
    return sources, skipped


review_code = specialist(
    "review.code", "Looks for mistakes in a change or in files. Returns findings."
)
review_security = specialist(
    "review.security", "Looks for ways to attack a change or files. Returns findings."
)
review_performance = specialist(
    "review.performance", "Looks for needless cost in a change or files. Returns findings."
)
write_tests = specialist(
    "write.tests", "Writes tests that a change or files lack. Returns findings with the tests."
)
write_docs = specialist(
    "write.docs",
    "Writes documentation that a change or files lack. Returns findings with the texts.",
)
