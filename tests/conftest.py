"""Fixtures of more than one folder of tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mesh import Mesh

# whoever runs the tests may be a member of a mesh; they are not
os.environ["NOVA_IDENTITY_DIR"] = os.path.join(os.devnull, "identity")


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[Mesh]:
    """No node yet; all that are started end with the test."""
    with Mesh(tmp_path) as mesh:
        yield mesh


def pytest_make_parametrize_id(val: object) -> str | None:
    """A name that is the same in every process: keys and certificates are made anew in each."""
    return "bytes" if isinstance(val, bytes) and len(val) > 20 else None
