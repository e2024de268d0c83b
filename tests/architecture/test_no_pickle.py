"""What comes from outside is data: nothing of ours reads a format that can run code when it is read."""

from __future__ import annotations

import pytest
from support.repo import imports, modules, within

RUNNING = ("pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib")


@pytest.mark.parametrize("module", modules())
def test_no_module_unpickles(module: str) -> None:
    found = {name for name in imports(module) for bad in RUNNING if within(name, bad)}
    assert not found, f"{module} imports {sorted(found)}: send data as JSON, code as source text"
