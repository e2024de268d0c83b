"""The HTTP side: pages, sign-ins, links and the connection of a tab, each behind the same checks.

Rule: a request is answered only under a name of this server and from its own pages; what it may do hangs
on a cookie and a key together.
"""

from __future__ import annotations

import asyncio
import html
import json
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from secrets import compare_digest
from typing import TYPE_CHECKING, Any, cast

from aiohttp import WSCloseCode, web
from nova_client import Invalid, NotFound, NovaError, Overloaded

from nova_console.web import assets, tab
from nova_console.web.doors import LOOK, Doors, Keys, Session
from nova_console.web.tab import Look, Tab

if TYPE_CHECKING:
    from nova_console.web.approval import Approval

TABS_MAX, TABS_OF_SESSION_MAX = 16, 8
IDLE_S = 8 * 3_600.0
END_TIMEOUT_S = 5.0
BODY_BYTES_MAX = 32 << 10
KEY_HEADER, PROTOCOL = "Nova-Key", "nova"

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
    "Server": "nova",
}
_STATUSES = ((NotFound, 404), (Overloaded, 429), (Invalid, 400))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Front:
    """`hosts` are the names it answers to, none means any, which TLS makes safe; `control` is what the
    commands of its starter show; without an `approval` nobody can sign in."""

    def __init__(
        self,
        nodes: Sequence[str],
        *,
        scheme: str,
        port: int,
        hosts: frozenset[str],
        starter: str,
        control: str,
        approval: Approval | None,
        tell: Callable[[str], None],
    ) -> None:
        self.doors = Doors()
        self._nodes = nodes
        self._scheme = scheme
        self._hosts = hosts
        self._starter = starter
        self._control = control
        self._approval = approval
        self._tell = tell
        self._cookie = f"nova-{port}"
        self._assets = assets.load()
        self._tabs: set[Tab] = set()
        self._fewer = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=BODY_BYTES_MAX)
        app.on_response_prepare.append(_add_headers)
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/enter", self._enter),
                web.get("/enter/{link}", self._follow),
                web.get("/ws", self._connect),
                web.get("/who", self._who),
                web.post("/sign-out", self._sign_out),
                web.post("/sign-in", self._sign_in),
                web.post("/sign-in/poll", self._poll),
                web.post("/approve/ask", self._approve_ask),
                web.post("/approve", self._approve),
                web.post("/links", self._links),
                web.get("/{asset}", self._asset),
            ]
        )
        return app

    async def end(self) -> None:
        """Every tab, told that the server ends; returns when their processes are gone."""
        for each in tuple(self._tabs):
            each.end(WSCloseCode.GOING_AWAY)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_TIMEOUT_S):
                while self._tabs:
                    self._fewer.clear()
                    await self._fewer.wait()

    def mind(self, now: float) -> None:
        """Sessions that are over, or whose member is one no more, end with their tabs."""
        self.doors.end_late(now)
        if self._approval is not None:
            for session in self.doors.sessions():
                if session.issued_at and not self._approval.still_counts(session):
                    self._tell(f"{session.who} was revoked: signed out")
                    self.doors.end(session)

    # ------------------------------------------------------------ checks

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._hosts and request.host.lower() not in self._hosts:
            return web.Response(status=421, text="this server has no such name\n")
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"{self._scheme}://{request.host}":
            return web.Response(status=403, text="not from another page\n")
        try:
            return await handler(request)
        except NovaError as error:
            status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 403)
            said = {"code": error.code, "message": error.message, "fix": error.fix}
            return web.json_response(said, status=status)

    def _session(self, request: web.Request, key: str | None) -> Session | None:
        return self.doors.session(request.cookies.get(self._cookie, ""), time.time(), key)

    def _set_cookie(self, response: web.Response, keys: Keys) -> web.Response:
        session = self.doors.session(keys.cookie, time.time())
        lasts_s = int(session.expires_at - time.time()) if session else 0
        response.set_cookie(
            self._cookie,
            keys.cookie,
            max_age=lasts_s,
            httponly=True,
            samesite="Strict",
            secure=self._scheme == "https",
        )
        return response

    # ------------------------------------------------------------ pages

    async def _asset(self, request: web.Request) -> web.Response:
        found = self._assets.get(request.match_info["asset"])
        if found is None:
            return web.Response(status=404, text="there is no such page\n")
        headers = {"ETag": f'"{found.etag}"', "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            packed = {**headers, "Content-Encoding": "gzip"}
            return web.Response(body=found.packed, content_type=found.type, headers=packed)
        return web.Response(body=found.body, content_type=found.type, headers=headers)

    async def _index(self, request: web.Request) -> web.Response:
        if self._session(request, None) is None:
            return await self._enter(request)
        return _page("index")

    async def _enter(self, _: web.Request) -> web.Response:
        return _page("enter", why="")

    async def _follow(self, request: web.Request) -> web.Response:
        """The link is left out of what other pages and the history see: the next page is `/`."""
        try:
            keys = self.doors.follow(request.match_info["link"], _remote(request), time.time())
        except NovaError as error:
            return _page("enter", why=f"{error.message}; {error.fix}")
        return self._set_cookie(_page("hop", key=keys.key), keys)

    async def _who(self, request: web.Request) -> web.Response:
        session = self._session(request, request.headers.get(KEY_HEADER, ""))
        if session is None:
            return web.json_response({}, status=401)
        return web.json_response({"who": session.who, "acts": session.rights != LOOK})

    async def _sign_out(self, request: web.Request) -> web.Response:
        session = self._session(request, request.headers.get(KEY_HEADER, ""))
        if session is not None:
            self.doors.end(session)
            self._tell(f"{session.who} signed out")
        response = web.json_response({})
        response.del_cookie(self._cookie)
        return response

    # ------------------------------------------------------------ ways in

    async def _sign_in(self, request: web.Request) -> web.Response:
        if self._approval is None:
            return web.Response(status=204)
        browser = browser_of(request.headers.get("User-Agent", ""))
        secret, waits = self.doors.ask(_remote(request), browser, time.time())
        said = {
            "code": waits.code,
            "secret": secret,
            "mesh": self._approval.mesh,
            "lasts_s": waits.expires_at - waits.asked_at,
        }
        return web.json_response(said)

    async def _poll(self, request: web.Request) -> web.Response:
        keys = self.doors.poll(_text(await _body(request), "secret"), time.time())
        if keys is None:
            return web.json_response({}, status=202)
        return self._set_cookie(web.json_response({"key": keys.key}), keys)

    async def _approve_ask(self, request: web.Request) -> web.Response:
        given, approval = await _body(request), self._signs_in()
        waits = self.doors.waiting(_text(given, "code"), _remote(request), time.time())
        said = {
            "code": waits.code,
            "mesh": approval.mesh,
            "remote": waits.remote,
            "browser": waits.browser,
            "asked_s": time.time() - waits.asked_at,
            "proof": approval.prove(waits.code, _text(given, "nonce")),
        }
        return web.json_response(said)

    async def _approve(self, request: web.Request) -> web.Response:
        given, approval = await _body(request), self._signs_in()
        waits = self.doors.waiting(_text(given, "code"), _remote(request), time.time())
        facts, held = await approval.verify(waits.code, _text(given, "statement"))
        name = facts.name.short
        now = time.time()
        if waits.session is not None:
            raise NotFound("that code was used meanwhile", "begin again")
        self.doors.approve(waits, name, held, (facts.issued_at, facts.not_after), now)
        self._tell(f"{name} signed in from {waits.remote} ({waits.browser}), {_may(held)}")
        return web.json_response({"who": name, "acts": held != LOOK})

    def _signs_in(self) -> Approval:
        if self._approval is None:
            raise NotFound("nobody signs in here", "use the link that it printed")
        return self._approval

    async def _links(self, request: web.Request) -> web.Response:
        """For the commands of who started it."""
        shown = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not compare_digest(shown, f"Bearer {self._control}".encode()):
            self.doors.count_try(_remote(request), time.time())
            return web.json_response({}, status=401)
        share = (await _body(request)).get("share") is True
        return web.json_response(self.link(share))

    def link(self, share: bool) -> dict[str, Any]:
        who = f"a guest of {self._starter}" if share else self._starter
        token, expires_at = self.doors.make_link(who, time.time(), share=share)
        return {"path": f"/enter/{token}", "expires_at": expires_at}

    # ------------------------------------------------------------ tabs

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        if "Origin" not in request.headers:
            raise web.HTTPForbidden(text="only from a page of this server\n")
        socket = web.WebSocketResponse(
            heartbeat=tab.HEARTBEAT_S, max_msg_size=tab.MESSAGE_BYTES_MAX, protocols=(PROTOCOL,)
        )
        await socket.prepare(request)
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        session = self._session(request, offered.partition(",")[2].strip())
        if session is None:
            await socket.close(code=tab.SIGN_IN)
        elif len(self._tabs) >= TABS_MAX or session.tabs >= TABS_OF_SESSION_MAX:
            await socket.close(code=tab.FULL)
        else:
            await self._show(socket, session, _look(request), _remote(request))
        return socket

    async def _show(
        self, socket: web.WebSocketResponse, session: Session, look: Look, remote: str
    ) -> None:
        shown = Tab(socket, session.rights, IDLE_S)

        def end() -> None:
            shown.end(tab.ENDED)

        self._tabs.add(shown)
        session.tabs += 1
        session.on_end.append(end)
        self._tell(f"{session.who} opened a tab from {remote}, {_may(session.rights)}")
        try:
            await shown.run(self._nodes, look)
        finally:
            session.on_end.remove(end)
            session.tabs -= 1
            self._tabs.discard(shown)
            self._fewer.set()
            self._tell(f"{session.who} closed a tab")
            if shown.complaint:
                self._tell(shown.complaint.decode(errors="replace"))


def _look(request: web.Request) -> Look:
    def number(name: str, otherwise: int, most: int) -> int:
        text = request.query.get(name, "")
        given = int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else otherwise
        return tab.bounded(given, most)

    columns = number("width", 80, tab.COLUMNS_MAX)
    rows = number("height", 24, tab.ROWS_MAX)
    return Look(columns, rows, request.query.get("light") == "1")


def _page(name: str, **words: str) -> web.Response:
    text = assets.page(name)
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", html.escape(value))
    return web.Response(text=text, content_type="text/html")


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        if name == "Server" or name not in response.headers:
            response.headers[name] = value


async def _body(request: web.Request) -> dict[str, Any]:
    """Raises Invalid."""
    found: Any = None
    if request.content_type == "application/json":
        with suppress(ValueError, RecursionError):
            found = json.loads(await request.text())
    if not isinstance(found, dict):
        raise Invalid("a JSON object is expected", "use the page, or nova console --web-sign-in")
    return cast("dict[str, Any]", found)


def _text(given: dict[str, Any], name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise Invalid(f"{name} is missing", "use the page, or nova console --web-sign-in")
    return value


def _remote(request: web.Request) -> str:
    return request.remote or "?"


def _may(held: frozenset[str]) -> str:
    return "only looks" if held == LOOK else "may act"


_BROWSERS = (("Firefox", "Firefox"), ("Edg", "Edge"), ("Chrom", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")


def browser_of(agent: str) -> str:
    """In words that a person knows; what it says of itself is no proof."""
    name = next((name for mark, name in _BROWSERS if mark in agent), "a browser")
    system = next((system for system in _SYSTEMS if re.search(system, agent)), "")
    return f"{name} on {system}" if system else name
