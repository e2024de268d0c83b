"""The code in what a model wrote. It is found by its marks alone: whether it is Python at all the
sandbox finds out, for a parser in this process is no match for hostile text."""

from __future__ import annotations

import re

CODE_CHARS = 200_000
"""More than this is nobody's answer to one question."""

_FENCE = re.compile(r"^[ \t]{0,3}(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*$", re.M)
_PYTHON = ("", "python", "py", "python3")
_BARE = re.compile(r"(?:def|class|import|from|async def|@)\s?\S")


def code_of(text: str, entry: str) -> str:
    """The last block that defines `entry`, else the longest, else all of the text if it begins as
    code does; empty when there is none."""
    text = text.replace("\r\n", "\n")
    blocks = _blocks(text)
    define = re.compile(rf"^(?:async\s+)?(?:def|class)\s+{re.escape(entry)}\b", re.M)
    defining = [block for block in blocks if define.search(block)]
    if defining:
        found = defining[-1]
    elif blocks:
        found = max(blocks, key=len)
    else:
        found = text if _BARE.match(text.lstrip()) else ""
    found = found.strip("\n")
    return found + "\n" if found.strip() and len(found) <= CODE_CHARS else ""


def _blocks(text: str) -> list[str]:
    """Of Python, or of no language. One that was cut off before its end counts too."""
    found: list[str] = []
    at, opened, language = 0, "", ""
    for fence in _FENCE.finditer(text):
        mark, word = fence[1], fence[2].lower()
        if not opened:
            at, opened, language = fence.end() + 1, mark, word
        elif mark.startswith(opened) and not word:
            if language in _PYTHON:
                found.append(text[at : fence.start()])
            opened = ""
    if opened and language in _PYTHON:
        found.append(text[at:])
    return found
