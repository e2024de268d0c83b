"""Heavy libraries load in one place each, and only when they are needed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.repo import imports, modules, within

PLACES = {"duckdb": 2}
"""The history's process and the host have a file each."""

HEAVY = ("docker", "duckdb", "keyring", "litellm", "textual", "zeroconf")

ENTRIES = {
    # all of a node without identity
    "import nova_node.node, nova_node.server.start": (*HEAVY, "cryptography", "nova_console"),
    "import nova_node.cli": (*HEAVY, "grpc", "nova_proto"),
    "import nova_node.capability": (*HEAVY, "grpc", "nova_proto", "click"),
    # a worker process that describes what there is, and the host before it is asked for anything
    "import nova_node.adapters.worker_main, nova_node.capabilities.llm": (*HEAVY, "grpc", "httpx"),
    "import nova_node.adapters.host_main, nova_node.models.service": (*HEAVY, "httpx", "openai"),
    "from nova_proto.identity import folder, mandate, names, person, token, trust": (
        *HEAVY,
        "grpc",
    ),
    "import nova_client": (*HEAVY, "click", "nova_node", "nova_console"),
    "import nova_console.cli": (*HEAVY, "grpc", "nova_proto", "nova_node"),
    "from nova_console.cli import main; main()": (*HEAVY, "grpc", "nova_node"),
    "from nova_node.cli import main; main()": (*HEAVY, "grpc", "nova_console"),
    "from nova_sandbox.cli import main; main()": HEAVY,
}

PROBE = """
import sys
statement, sys.argv[1] = sys.argv[1], "--help"
try:
    exec(statement)
except SystemExit as end:
    assert not end.code, end.code
print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("statement", ENTRIES)
def test_entry_loads_no_heavy_library(statement: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROBE, statement], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    loaded = set(run.stderr.splitlines()[-1].split())
    assert "sys" in loaded
    assert not loaded & set(ENTRIES[statement]), statement


@pytest.mark.parametrize("library", HEAVY)
def test_one_place_imports_it(library: str) -> None:
    places = {m for m in modules() if any(within(n, library) for n in imports(m))}
    if library == "textual":  # the whole console is built of it: one package is its place
        places = {m.rpartition(".")[0] for m in places}
    assert len(places) <= PLACES.get(library, 1), f"{library} is imported in {sorted(places)}"
