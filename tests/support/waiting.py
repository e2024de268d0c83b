"""An attempt that waits, in memory: prompts are answered by a script, programs run in a process of
this machine. For programs that the tests themselves wrote: it is no boundary."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nova_node.capability import Answer, Ask, AskFailed, Usage, attempt_of

Script = Callable[[Ask], str | dict[str, Any] | AskFailed]
"""What a model answers to an llm.chat: a text, the whole value, or a failure."""

PRICE_UUSD = 100

RUNNER = """
import json, os, sys
os.dup2(int(sys.argv[2]), 3)
source, module = sys.argv[1], {"__name__": "__main__"}
exec(compile(source, "program.py", "exec"), module)
sys.stdout.flush()
with open(3, "w") as file:
    json.dump(module.get("result"), file)
"""


class FakeWaiting:
    """Keeps all that was asked. `replace` takes the place of python.run with statements."""

    def __init__(
        self,
        script: Script,
        *,
        allowance_uusd: int = 0,
        replace: Callable[[Ask], dict[str, Any] | AskFailed] | None = None,
        price_uusd: int | None = PRICE_UUSD,
    ) -> None:
        self.task_id, self.submitter, self.allowance_uusd = "k7q2m9xd-1", "", allowance_uusd
        self.sensitive = False
        self.asked: list[Ask] = []
        self.said = ""
        self.at_once = self.at_once_most = 0
        self._script, self._replace, self._price_uusd = script, replace, price_uusd

    def say(self, text: str) -> None:
        self.said += text

    def spend(self, used: Usage) -> None:
        raise AssertionError("what asks used counts by itself")

    async def ask(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        self.at_once += 1
        self.at_once_most = max(self.at_once, self.at_once_most)
        try:
            await asyncio.sleep(0)
            return await (self._chat(ask) if ask.capability == "llm.chat" else self._run(ask))
        finally:
            self.at_once -= 1

    def prompts(self) -> list[Mapping[str, Any]]:
        return [each.args for each in self.asked if each.capability == "llm.chat"]

    async def _chat(self, ask: Ask) -> Answer:
        said = self._script(ask)
        if isinstance(said, AskFailed):
            raise said
        models: Any = ask.args["models"]
        model = models[0] if models else "plain"
        value = {"text": said} if isinstance(said, str) else said
        usage = Usage(model, 100, 50, self._price_uusd, value.get("cache", ""))
        return Answer({"model": model, "finish": "stop", **value}, {}, "node-1", usage)

    async def _run(self, ask: Ask) -> Answer:
        assert ask.capability == "python.run"
        if self._replace is None:
            statement = await asyncio.to_thread(run_here, ask)
        else:
            statement = self._replace(ask)
        if isinstance(statement, AskFailed):
            raise statement
        return Answer(statement, {}, "node-2", None)


def run_here(ask: Ask) -> dict[str, Any]:
    """The statement of a python.run, made without a sandbox."""
    with tempfile.TemporaryFile() as result:
        command = [sys.executable, "-c", RUNNER, str(ask.args["code"]), str(result.fileno())]
        ran = subprocess.run(
            command,
            input=ask.inputs["stdin_bytes"],
            capture_output=True,
            pass_fds=[result.fileno()],
            timeout=60,
            start_new_session=True,
        )
        if ask.say:
            ask.say(ran.stdout.decode() + ran.stderr.decode())
        if ran.returncode:
            return {"status": "error", "result": None, "message": f"left with {ran.returncode}"}
        result.seek(0)
        return {
            "status": "ok",
            "result": json.loads(os.read(result.fileno(), 1 << 24)),
            "message": "",
        }


def call(waiting: FakeWaiting, work: Callable[[], Awaitable[Any]]) -> Any:
    """The result of a capability that waits, called in this attempt."""

    async def main() -> Any:
        with attempt_of(waiting):
            return await work()

    return asyncio.run(main())


def fence(code: str) -> str:
    return f"Here it is.\n\n```python\n{code}\n```\n"
