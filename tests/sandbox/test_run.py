"""What a program gets and gives, on a real engine."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import pytest
from nova_sandbox import (
    EngineUnavailable,
    Finished,
    ImageMissing,
    Limits,
    NotOffered,
    Output,
    PoolSize,
    Sandbox,
    Status,
    Tier,
)
from nova_sandbox.image import Image
from support.sandbox_images import drop_image, make_image
from support.sandbox_runs import SandboxHost, collect, until

OpenSandbox = Callable[..., Sandbox]


def test_arguments_input_output_result_and_files(host: SandboxHost) -> None:
    code = """
import os, sys
print(sys.argv[1:], sys.stdin.read())
print("wrong", file=sys.stderr)
os.makedirs(os.environ["NOVA_OUT"] + "/deep")
open("/out/deep/file.bin", "wb").write(bytes(200_000))
open("/out/empty", "w").close()
result = {"answer": [1, None, "ß"]}
"""
    ran = host.run(code, "a b", "ß", stdin=b"input")
    assert ran.stdout == "['a b', 'ß'] input\n"
    assert ran.stderr == "wrong\n"
    assert ran.files == {"deep/file.bin": bytes(200_000), "empty": b""}
    assert json.loads(ran.finished.result or "") == {"answer": [1, None, "ß"]}
    assert (ran.status, ran.finished.exit_code) == (Status.OK, 0)
    assert ran.finished.wall_s > 0
    assert ran.finished.peak_bytes > 1_000_000


def test_a_traceback_shows_the_program_and_nothing_of_ours(host: SandboxHost) -> None:
    ran = host.run("def f():\n    return 1 / 0\nf()\n")
    assert ran.status is Status.ERROR
    assert ran.finished.message == "ZeroDivisionError: division by zero"
    lines = ran.finished.traceback.splitlines()
    assert [line for line in lines if "File" in line] == [
        '  File "program.py", line 3, in <module>',
        '  File "program.py", line 2, in f',
    ]
    assert "    return 1 / 0" in lines


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('why')", 1),
        ("import os; os._exit(4)", 4),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("def (", 1),
    ],
)
def test_ways_to_fail(host: SandboxHost, code: str, exit_code: int) -> None:
    ran = host.run(code)
    assert (ran.status, ran.finished.exit_code) == (Status.ERROR, exit_code)
    assert ran.finished.message


@pytest.mark.parametrize("code", ["", "import sys; sys.exit()", "import sys; sys.exit(0)"])
def test_ways_to_end_well(host: SandboxHost, code: str) -> None:
    assert host.run(code).status is Status.OK


def test_what_an_interpreter_does_at_its_end_is_done(host: SandboxHost) -> None:
    ran = host.run(
        "import atexit, threading, time\n"
        "atexit.register(print, 'exit handler')\n"
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()\n"
        "print('end', end='')\n"
    )
    assert ran.stdout == "endthread\nexit handler\n"


def test_processes_of_the_standard_library_work(host: SandboxHost) -> None:
    ran = host.run(
        "import multiprocessing, os, subprocess\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        "    print(pool.map(abs, [-1, -2]))\n"
        "print(subprocess.run(['echo', 'hi'], capture_output=True).stdout)\n"
    )
    assert ran.stdout == "[1, 2]\nb'hi\\n'\n", ran


def test_a_shell_script(host: SandboxHost) -> None:
    script = 'cat; echo "$1" >&2; echo made > /out/file; exit 2'
    ran = host.run(script, "arg", language="shell", stdin=b"from stdin")
    assert (ran.stdout, ran.stderr) == ("from stdin", "arg\n")
    assert ran.files == {"file": b"made\n"}
    assert (ran.status, ran.finished.exit_code) == (Status.ERROR, 2)


def test_input_that_is_never_read(host: SandboxHost) -> None:
    assert host.run("print('done')", stdin=bytes(8_000_000)).stdout == "done\n"


def test_input_that_is_large(host: SandboxHost) -> None:
    ran = host.run("import sys; print(len(sys.stdin.buffer.read()))", stdin=bytes(8_000_000))
    assert ran.stdout == "8000000\n"


def test_runs_see_nothing_of_each_other(host: SandboxHost) -> None:
    write = "open('/tmp/mark', 'w').close(); open('/out/mark', 'w').close()"
    look = "import os; print(os.listdir('/tmp'), os.listdir('/out'))"
    assert host.run(write).status is Status.OK
    assert host.run(look).stdout == "[] []\n"


def test_output_comes_while_the_program_runs(host: SandboxHost) -> None:
    async def first_then_end() -> tuple[bytes, Status]:
        events = host.sandbox.run("print('first')\nimport time\ntime.sleep(600)", timeout_s=1)
        first = await anext(events)
        assert isinstance(first, Output)
        rest = [event async for event in events]
        assert isinstance(rest[-1], Finished)
        return first.data, rest[-1].status

    assert host.wait(first_then_end()) == (b"first\n", Status.TIMEOUT)


def test_leaving_early_kills_the_program(host: SandboxHost) -> None:
    async def leave() -> None:
        events = host.sandbox.run("print('x', flush=True)\nwhile True: pass", timeout_s=50)
        await anext(events)
        await events.aclose()
        pool = host.sandbox._pool  # pyright: ignore[reportPrivateUsage]
        assert pool
        await until(lambda: not (pool.state().busy or pool.state().ending))

    host.wait(leave())


def test_a_program_stopped_by_its_deadline_is_stopped_in_time(host: SandboxHost) -> None:
    host.run("")
    began = time.monotonic()
    ran = host.run("while True: pass", timeout_s=0.5)
    assert ran.status is Status.TIMEOUT
    assert time.monotonic() - began < 0.5 + 2.0
    assert ran.finished.fix


def test_a_refused_request_costs_no_container(host: SandboxHost) -> None:
    claims = host.sandbox.state().claims
    for code in ("a\0b", "\ufeffprint(1)", "#" * 5_000_000):
        ran = host.run(code)
        assert ran.status is Status.REFUSED
        assert ran.finished.fix
    assert host.sandbox.state().claims == claims


def test_a_session_keeps_its_files_and_nothing_else(host: SandboxHost) -> None:
    async def main() -> None:
        async with host.sandbox.session() as session:
            first = await collect(session.run("open('/tmp/a', 'w').write('kept'); result = 1"))
            assert first.status is Status.OK
            again = "print(open('/tmp/a').read()); open('/out/b', 'w').close()"
            assert (await collect(session.run(again))).files == {"b": b""}
            third = await collect(session.run("import os; print(os.listdir('/out'))"))
            assert third.stdout == "[]\n"
            stopped = await collect(session.run("while True: pass", timeout_s=0.3))
            assert stopped.status is Status.TIMEOUT
            after = await collect(session.run("print('still')"))
            assert after.stdout == "still\n"

    host.wait(main())


def test_a_session_whose_run_was_left_early_is_over(host: SandboxHost) -> None:
    async def main() -> None:
        async with host.sandbox.session() as session:
            events = session.run("print('x', flush=True)\nwhile True: pass")
            await anext(events)
            await events.aclose()
            with pytest.raises(NotOffered, match="ended"):
                await anext(session.run("print(1)"))

    host.wait(main())


def test_many_at_once_on_a_small_pool(sandbox: OpenSandbox) -> None:
    async def main() -> None:
        pool = PoolSize(min_warm=2, max_warm=4, max_boxes=6, claim_timeout_s=60)
        async with sandbox(pool=pool) as opened:
            runs = (collect(opened.run(f"print({n})")) for n in range(16))
            assert [r.stdout for r in await asyncio.gather(*runs)] == [f"{n}\n" for n in range(16)]
            assert opened.state().claims == 16

    asyncio.run(main())


def test_untrusted_code_is_refused_without_its_runtime(sandbox: OpenSandbox) -> None:
    async def main() -> None:
        with pytest.raises(NotOffered, match="runsc") as refused:
            await sandbox(tier=Tier.UNTRUSTED).__aenter__()
        assert "gVisor" in refused.value.fix

    asyncio.run(main())


@pytest.mark.parametrize("name", ["missing", "python@sha256:" + "0" * 64])
def test_an_image_that_is_not_here_is_never_fetched(sandbox: OpenSandbox, name: str) -> None:
    async def main() -> None:
        with pytest.raises(ImageMissing) as missing:
            await sandbox(image=name).__aenter__()
        assert "image build" in missing.value.fix

    asyncio.run(main())


@pytest.mark.parametrize("name", ["python:3.12", "some.example/python", "../host", "--privileged"])
def test_an_image_that_is_not_pinned_is_refused(sandbox: OpenSandbox, name: str) -> None:
    async def main() -> None:
        with pytest.raises(NotOffered, match="digest"):
            await sandbox(image=name).__aenter__()

    asyncio.run(main())


@pytest.mark.long
def test_an_image_built_anew_changes_nothing_for_who_runs(
    sandbox: OpenSandbox, engine_url: str
) -> None:
    async def main() -> None:
        first = await make_image(engine_url, "moving")
        async with sandbox(image="moving") as opened:
            second = await make_image(engine_url, "moving")
            assert second.id != first.id
            for _ in range(2):
                assert (await collect(opened.run("print(1)"))).stdout == "1\n"
        await drop_image(engine_url, "moving")
        await drop_image(engine_url, first.id)

    asyncio.run(main())


def test_an_image_removed_under_a_sandbox(sandbox: OpenSandbox, engine_url: str) -> None:
    """What is warm still serves; then the error is typed, and names the fix."""

    async def main() -> None:
        gone: Image = await make_image(engine_url, "gone")
        async with sandbox(image="gone", pool=PoolSize(min_warm=0, max_warm=0)) as opened:
            assert (await collect(opened.run("print(1)"))).stdout == "1\n"
            await until(lambda: not (opened.state().busy or opened.state().ending))
            await drop_image(engine_url, gone.name)
            with pytest.raises((ImageMissing, EngineUnavailable)) as missing:
                await collect(opened.run("print(1)"))
            assert missing.value.fix

    asyncio.run(main())


def test_a_sandbox_that_is_not_open() -> None:
    async def main() -> None:
        with pytest.raises(NotOffered):
            await anext(Sandbox().run("print(1)"))

    asyncio.run(main())


def test_memory_is_what_was_asked_for(sandbox: OpenSandbox) -> None:
    async def main() -> None:
        async with sandbox(limits=Limits(memory_bytes=128 << 20)) as opened:
            eat = "size = {} << 20; held = b'x' * size; print('fits')"
            assert (await collect(opened.run(eat.format(80)))).stdout == "fits\n"
            assert (await collect(opened.run(eat.format(160)))).status is Status.OUT_OF_MEMORY

    asyncio.run(main())
