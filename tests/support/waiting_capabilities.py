"""Capabilities that wait, for the tests of places: some of those of sample_capabilities, and worse."""

import asyncio
import os
import sys
import time
from typing import Any

from nova_node.capability import (
    Answer,
    AskFailed,
    Fatal,
    Files,
    Produced,
    Shards,
    Usage,
    allowance_uusd,
    ask,
    capability,
    node_secret,
    say,
    secret,
    setting,
    spend,
    submitter,
    task_id,
)


@capability("sample.double", waits=True)
async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


@capability("sample.fail", waits=True)
async def fail(fatal: bool = False) -> None:
    if fatal:
        raise Fatal("never again", "ask for something else")
    raise ValueError("not today")


@capability("sample.hang", waits=True)
async def hang() -> None:
    await asyncio.Event().wait()


@capability("sample.die", waits=True)
async def die() -> None:
    os._exit(3)


@capability("sample.say", waits=True)
async def speak(text: str) -> None:
    sys.stdout.write(text)


@capability("sample.tell", waits=True)
async def tell() -> dict[str, str]:
    sys.stdout.write(f"it is {secret('db')}\n")
    return {"found": secret("db")}


@capability("sample.blame", waits=True)
async def blame() -> None:
    raise ValueError(f"{secret('db')} is wrong")


@capability("sample.shards", waits=True)
async def shards(count: int) -> Any:
    return Shards({"count": n} for n in range(count))


# ---------------------------------------------------------------- of its own


@capability("waiting.pieces", waits=True)
async def pieces(texts: list[str], flood: int = 0) -> str:
    """Says each without a line's end, then waits for ever if there are none."""
    for text in texts:
        say(text)
        await asyncio.sleep(0.01)
    if flood:
        await asyncio.to_thread(say, "y" * flood)
    if not texts:
        await asyncio.Event().wait()
    return "said"


@capability("waiting.files", waits=True)
async def files(given: Files, size: int) -> Produced:
    text = "".join(piece.read().decode() for piece in given)
    return Produced(text * size, {"a/b.txt": text.encode()})


@capability("waiting.stubborn", waits=True)
async def stubborn(block_s: float = 0.0) -> None:
    """Will not be cancelled."""
    say("begun")
    if block_s:
        asyncio.get_running_loop().call_later(0.01, time.sleep, block_s)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            say("no")


@capability("waiting.tidy", waits=True)
async def tidy(path: str) -> None:
    """Leaves a note when it is cancelled."""
    say("begun")
    try:
        await asyncio.Event().wait()
    finally:
        spend(Usage("m", 5, 6, 7))
        with open(path, "w") as file:  # noqa: ASYNC230
            file.write("closed")


@capability("waiting.spend", waits=True)
async def spending(uusd: int | None, fails: bool = False) -> int:
    spend(Usage("m", 1, 2, uusd))
    spend(Usage("m", 10, 20, 3))
    if fails:
        raise ValueError("after it was spent")
    return allowance_uusd()


@capability("waiting.secret", waits=True)
async def keep(name: str, other: str) -> str:
    """Its own secret, read when others have had their turn; says a key of the node's."""
    await asyncio.sleep(0.05)
    say(f"{node_secret(other)} ")
    return secret(name).upper()


@capability("waiting.hoard", waits=True)
async def hoard(mib: int) -> int:
    held = b"x" * (mib << 20)
    await asyncio.Event().wait()
    return len(held)


@capability("waiting.who", waits=True)
async def who(key: str) -> list[Any]:
    return [task_id(), submitter(), allowance_uusd(), setting(key), os.getpid()]


@capability("waiting.ask", waits=True)
async def asking(
    capability: str,
    args: dict[str, Any],
    times: int = 1,
    at_once: int = 64,
    allowance: int = 0,
    timeout_s: float = 0.0,
    data: bytes = b"",
) -> list[Any]:
    """What each ask came to: a value with what else there is to say, or the code of its failure."""
    gate = asyncio.Semaphore(at_once)
    inputs = {"data": data} if data else {}

    async def one() -> Any:
        async with gate:
            try:
                answer: Answer = await ask(
                    capability,
                    args,
                    inputs=inputs,
                    allowance_uusd=allowance,
                    timeout_s=timeout_s,
                    say=say,
                )
            except AskFailed as error:
                return {"code": error.code, "message": str(error), "retryable": error.retryable}
            value = answer.value if not isinstance(answer.value, bytes) else len(answer.value)
            names = {name: len(each) for name, each in answer.files.items()}
            return {"value": value, "files": names, "node": answer.node}

    return await asyncio.gather(*(one() for _ in range(times)))


@capability("waiting.first", waits=True)
async def first(slow: str, args: dict[str, Any], allowance: int = 0) -> Any:
    """The quick one's answer; the slow one is cancelled."""
    tasks = [
        asyncio.ensure_future(ask(slow, args, allowance_uusd=allowance)),
        asyncio.ensure_future(ask("core.echo", {"data": "quick"})),
    ]
    _, quick = tasks
    answer = await quick
    tasks[0].cancel()
    await asyncio.wait(tasks)
    return answer.value
