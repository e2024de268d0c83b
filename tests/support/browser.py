"""Chromium without a screen, driven over its DevTools protocol: pages that are typed at, tapped and read.

What a page's terminal shows is known by what its connection brought it. `async with Chromium(folder)`
ends the browser, whatever happened.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE_S = 30.0
PAUSE_S = 0.02
MESSAGE_BYTES_MAX = 64 << 20
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--mute-audio",
    "--remote-debugging-port=0",
    "--ignore-certificate-errors",
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?$<>=]*[A-Za-z@]|\x1b[()][0-9A-Z]|\x1b\][^\x07]*\x07|\x1b.")


async def eventually(look: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await look():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        await asyncio.sleep(PAUSE_S)


class Page:
    def __init__(self, browser: Chromium, session: str) -> None:
        self._browser = browser
        self._session = session
        #: addresses of all that it asked for
        self.asked_for: list[str] = []
        #: errors that it wrote or threw, violations of its policy among them
        self.troubles: list[str] = []
        self._drawn = ""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._browser.call(method, params, self._session)

    async def js(self, expression: str) -> Any:
        """Its value, awaited."""
        found = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(found["exceptionDetails"])
        return found["result"].get("value")

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def until(self, expression: str) -> Any:
        """Its value, once it is true."""
        value: Any = None

        async def look() -> bool:
            nonlocal value
            try:
                value = await self.js(expression)
            except (AssertionError, RuntimeError):  # between two pages
                return False
            return bool(value)

        await eventually(look, f"{expression}; {self.troubles}")
        return value

    async def type(self, text: str) -> None:
        """Keys, sign by sign."""
        for sign in text:
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=sign, key=sign)
            await self.call("Input.dispatchKeyEvent", type="keyUp", key=sign)

    async def press(self, key: str, code: int) -> None:
        """A key that writes nothing, by its name and Windows key code."""
        same = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="rawKeyDown", **same)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **same)

    async def tap(self, selector: str) -> None:
        """Where the middle of an element is, with a finger."""
        box = await self.js(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        point = {"x": box[0], "y": box[1]}
        await self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
        await self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def forget(self) -> None:
        """What was drawn so far."""
        self._drawn = ""

    @property
    def drawn(self) -> str:
        return _ESCAPES.sub("", self._drawn)

    async def shows(self, *wanted: str) -> None:
        """Once all of it was drawn since the last `forget`."""

        async def look() -> bool:
            return all(part in self.drawn for part in wanted)

        await eventually(look, f"{wanted}; {self.troubles}; drawn: {self.drawn[-1500:]}")

    async def picture(self) -> bytes:
        """A PNG."""
        await self.call("Page.bringToFront")
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])

    def take(self, method: str, params: dict[str, Any]) -> None:
        """An event of the browser about this page."""
        match method:
            case "Network.requestWillBeSent":
                self.asked_for.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.asked_for.append(params["url"])
            case "Network.webSocketFrameReceived":
                frame = params["response"]
                if frame["opcode"] == 2:
                    self._drawn += base64.b64decode(frame["payloadData"]).decode(errors="replace")
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.troubles.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.troubles.append(str(params["exceptionDetails"]))
            case _:
                return

    async def close(self) -> None:
        await self.call("Page.close")


class Chromium:
    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder / "chromium"
        self._options = options
        self._no = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._pages: dict[str, Page] = {}

    async def __aenter__(self) -> Self:
        assert PROGRAM is not None
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *_OPTIONS,
            *self._options,
            f"--user-data-dir={self._folder}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            self._web = aiohttp.ClientSession()
            self._wire = await self._web.ws_connect(
                await self._address(), max_msg_size=MESSAGE_BYTES_MAX, heartbeat=None
            )
        except BaseException:
            await self._end()
            raise
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._wire.close()
        await self._end()

    async def _end(self) -> None:
        await self._web.close()
        if self._process.returncode is None:
            self._process.terminate()
            try:
                async with asyncio.timeout(10.0):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def _address(self) -> str:
        told = self._folder / "DevToolsActivePort"

        async def there() -> bool:
            return told.exists() and len(told.read_text().splitlines()) == 2

        await eventually(there, "Chromium to start")
        port, path = told.read_text().splitlines()
        return f"ws://127.0.0.1:{port}{path}"

    async def call(self, method: str, params: dict[str, Any], session: str = "") -> dict[str, Any]:
        self._no += 1
        answer = self._answers[self._no] = asyncio.get_running_loop().create_future()
        request: dict[str, Any] = {"id": self._no, "method": method, "params": params}
        await self._wire.send_json({**request, "sessionId": session} if session else request)
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    async def _read(self) -> None:
        async for message in self._wire:
            said = json.loads(message.data)
            if "id" in said:
                answer = self._answers.pop(said["id"])
                if answer.done():
                    continue
                if "error" in said:
                    answer.set_exception(RuntimeError(said["error"]["message"]))
                else:
                    answer.set_result(said["result"])
            elif page := self._pages.get(said.get("sessionId", "")):
                page.take(said["method"], said["params"])

    async def person(self) -> str:
        """A context of its own: no cookie nor key of the others."""
        return str((await self.call("Target.createBrowserContext", {}))["browserContextId"])

    async def page(
        self, url: str, person: str = "", width: int = 1280, height: int = 800, phone: bool = False
    ) -> Page:
        where = {"browserContextId": person} if person else {}
        made = await self.call("Target.createTarget", {"url": "about:blank", **where})
        attached = await self.call(
            "Target.attachToTarget", {"targetId": made["targetId"], "flatten": True}
        )
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Network", "Runtime", "Log"):
            await page.call(f"{domain}.enable")
        await page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=0,
            mobile=phone,
        )
        if phone:
            await page.call("Emulation.setTouchEmulationEnabled", enabled=True)
        await page.open(url)
        return page
