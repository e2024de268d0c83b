"""The fallback without an engine: the same ends, by rlimits and namespaces."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from nova_sandbox import Limits, NotOffered, PoolSize, Sandbox, Status, Tier
from nova_sandbox.process import namespaces
from support.sandbox_runs import SandboxHost

MEMORY = "held = b'x'\nwhile True: held += held"


@pytest.fixture(scope="module")
def processes() -> Iterator[SandboxHost]:
    limits = Limits(timeout_s=20, memory_bytes=256 << 20)
    opened = Sandbox(runtime="process", limits=limits, pool=PoolSize(min_warm=1))
    with SandboxHost(opened) as host:
        yield host


def test_arguments_input_output_result_and_files(processes: SandboxHost) -> None:
    code = """
import os, sys
print(sys.argv[1:], sys.stdin.read())
open(os.environ["NOVA_OUT"] + "/file", "w").write("made")
result = 7
"""
    ran = processes.run(code, "a", stdin=b"in")
    assert (ran.status, ran.stdout, ran.files) == (Status.OK, "['a'] in\n", {"file": b"made"})
    assert ran.finished.result == "7"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("1 / 0", Status.ERROR),
        ("input()", Status.ERROR),
        (MEMORY, Status.OUT_OF_MEMORY),
        ("while True: print('x' * 10_000)", Status.OUTPUT_CAP),
        ("import os; os.symlink('/etc/shadow', os.environ['NOVA_OUT'] + '/a')", Status.REFUSED),
        ("import os; os.truncate(os.environ['NOVA_OUT'] + '/a', 0)", Status.ERROR),
    ],
)
def test_the_same_ends_as_in_a_container(processes: SandboxHost, code: str, status: Status) -> None:
    assert processes.run(code).status is status
    assert processes.run("print('next')").stdout == "next\n"


def test_a_busy_loop_that_ignores_signals_is_killed(processes: SandboxHost) -> None:
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass"
    assert processes.run(code, timeout_s=0.5).status is Status.TIMEOUT


def test_what_it_started_dies_with_it(processes: SandboxHost) -> None:
    ran = processes.run("import os, time\nif os.fork() == 0:\n    time.sleep(600)\nprint('left')")
    assert (ran.status, ran.stdout) == (Status.OK, "left\n")


def test_the_environment_of_the_host_stays_outside(processes: SandboxHost) -> None:
    ran = processes.run("import os; print(sorted(os.environ))")
    assert ran.stdout == "['HOME', 'LANG', 'NOVA_OUT', 'PATH']\n"


def test_no_network_where_namespaces_work(processes: SandboxHost) -> None:
    if not namespaces():
        pytest.skip("this kernel makes no namespaces for us")
    ran = processes.run("print(open('/proc/net/dev').read().count(':'))")
    assert ran.stdout == "1\n"


def test_its_folders_and_processes_are_gone_afterwards(tmp_path: Path) -> None:
    async def main() -> None:
        async with Sandbox(runtime="process", pool=PoolSize(min_warm=2)) as sandbox:
            async for _ in sandbox.run("print(1)"):
                pass

    before = set(os.listdir("/tmp"))
    asyncio.run(main())
    left = set(os.listdir("/tmp")) - before
    assert not [name for name in left if name.startswith("nova-process-")]


def test_never_for_untrusted_code() -> None:
    async def main() -> None:
        with pytest.raises(NotOffered, match="no boundary"):
            await Sandbox(runtime="process", tier=Tier.UNTRUSTED).__aenter__()

    asyncio.run(main())


def test_never_by_default() -> None:
    assert Sandbox().settings.runtime == "docker"
