"""Programs that some tests use."""

from __future__ import annotations

import os
import shutil


def absent(program: str) -> bool:
    """Whether tests of it are passed over: never in CI, where what is not there is a failure."""
    return os.environ.get("CI") != "true" and shutil.which(program) is None
