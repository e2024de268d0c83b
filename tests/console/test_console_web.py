"""The web mode without a browser: who comes in, what is signed, what a limited client may, what is served."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, CookieJar, WSServerHandshakeError
from aiohttp.web import AppRunner, SockSite
from nova_client import Invalid, NotFound, NovaError, Overloaded, Refused, rights
from nova_client.find import Access
from nova_console.web import assets, certificate, control, doors, front, serve, statement
from nova_console.web.approval import Approval
from nova_console.web.doors import LOOK, Doors, rights_of
from nova_console.web.front import Front
from nova_proto.identity import certificates
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import Name

from nova_node.core.policy import METHODS, Right
from nova_node.identity.authority import Authority

NOW = 1_000.0
PEER_NAMES = {"/nova.v1.Identity/PutTrust", "/nova.v1.Identity/PutHead"}
LEAF = "ab" * 32
AGENT = "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/150.0 Mobile Safari/537.36"


# ------------------------------------------------------------ doors


def test_a_link_lets_one_browser_in_and_its_cookie_alone_is_not_enough() -> None:
    at = Doors()
    link, _ = at.make_link("admin/ada", NOW)
    keys = at.follow(link, "here", NOW)
    session = at.session(keys.cookie, NOW, keys.key)
    assert session is not None
    assert (session.who, session.rights) == ("admin/ada", rights.ALL)
    assert at.session(keys.cookie, NOW, "") is None
    assert at.session(keys.cookie, NOW, keys.cookie) is None
    assert at.session(keys.key, NOW, keys.key) is None
    with pytest.raises(NotFound):
        at.follow(link, "here", NOW)


def test_a_link_and_a_session_end() -> None:
    at = Doors()
    link, ends = at.make_link("admin/ada", NOW)
    with pytest.raises(NotFound):
        at.follow(link, "here", ends)
    link, _ = at.make_link("admin/ada", NOW)
    keys = at.follow(link, "here", NOW)
    assert at.session(keys.cookie, NOW + doors.SESSION_S - 1, keys.key)
    assert at.session(keys.cookie, NOW + doors.SESSION_S, keys.key) is None


def test_a_shared_link_lets_many_in_who_only_look_until_it_ends() -> None:
    at = Doors()
    link, ends = at.make_link("a guest", NOW, share=True)
    for second in range(3):
        keys = at.follow(link, "here", NOW + second)
        session = at.session(keys.cookie, NOW + second, keys.key)
        assert session is not None
        assert (session.rights, session.expires_at) == (LOOK, ends)


def test_a_sign_in_is_approved_by_its_code_however_typed_and_told_once() -> None:
    at = Doors()
    secret, waits = at.ask("far", "Firefox on Linux", NOW)
    assert at.poll(secret, NOW) is None
    found = at.waiting(f" {waits.code.lower().replace('-', '')} ", "here", NOW)
    assert found is waits
    session = at.approve(found, "observer/eve", LOOK, (NOW - 9, NOW + 60), NOW)
    assert session.expires_at == NOW + 60
    with pytest.raises(NotFound):
        at.waiting(waits.code, "here", NOW)
    keys = at.poll(secret, NOW)
    assert keys is not None
    assert at.session(keys.cookie, NOW, keys.key) is session
    with pytest.raises(NotFound):
        at.poll(secret, NOW)


def test_a_code_ends() -> None:
    at = Doors()
    secret, waits = at.ask("far", "Firefox", NOW)
    with pytest.raises(NotFound):
        at.waiting(waits.code, "here", NOW + doors.SIGN_IN_S)
    with pytest.raises(NotFound):
        at.poll(secret, NOW + doors.SIGN_IN_S)


def test_whoever_ends_a_session_ends_its_tabs() -> None:
    at = Doors()
    keys = at.follow(at.make_link("admin/ada", NOW)[0], "here", NOW)
    session = at.session(keys.cookie, NOW)
    assert session is not None
    told: list[str] = []
    session.on_end.append(lambda: told.append("end"))
    at.end_late(NOW + doors.SESSION_S)
    assert told == ["end"]
    assert at.session(keys.cookie, NOW) is None


def test_links_and_sign_ins_that_are_full_refuse() -> None:
    at = Doors()
    for number in range(doors.LINKS_MAX):
        at.make_link(f"guest {number}", NOW, share=True)
    with pytest.raises(Overloaded):
        at.make_link("one more", NOW, share=True)
    for number in range(doors.SIGN_INS_MAX):
        at.ask(f"host{number}", "Firefox", NOW)
    with pytest.raises(Overloaded):
        at.ask("one more", "Firefox", NOW)


def test_browsers_are_counted() -> None:
    at = Doors()
    link, _ = at.make_link("x", NOW, share=True)
    for _ in range(doors.SESSIONS_MAX):
        at.follow(link, "here", NOW)
    with pytest.raises(Overloaded):
        at.follow(link, "here", NOW)


def test_guessing_is_slowed_down_by_where_it_comes_from() -> None:
    at = Doors()
    for _ in range(doors.TRIES_MAX):
        with pytest.raises(NotFound):
            at.follow("guess", "there", NOW)
    with pytest.raises(Overloaded):
        at.follow("guess", "there", NOW)
    with pytest.raises(NotFound):
        at.follow("guess", "elsewhere", NOW)
    with pytest.raises(NotFound):
        at.follow("guess", "there", NOW + doors.TRIES_WITHIN_S)


@pytest.mark.parametrize(
    ("name", "role", "actors", "held"),
    [
        ("admin/ada", "admin", (), rights.ALL),
        ("submitter/ada", "submitter", (), rights.ALL - {rights.OPERATE}),
        ("admin/eve", "admin", (), LOOK),
        ("submitter/bob", "submitter", (), LOOK),
        ("submitter/bob", "submitter", ("submitter/bob",), rights.ALL - {rights.OPERATE}),
        ("observer/eve", "observer", ("observer/eve",), LOOK),
    ],
)
def test_nobody_but_the_starter_acts_unless_told(
    name: str, role: str, actors: tuple[str, ...], held: frozenset[str]
) -> None:
    starter = name if name.endswith("ada") else "admin/ada"
    assert rights_of(name, role, starter, frozenset(actors)) == held


def test_a_node_is_no_person() -> None:
    with pytest.raises(Invalid):
        rights_of("worker/x", "worker", "worker/x", frozenset())


# ------------------------------------------------------------ what is signed


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("home") / "authority", "lab", "first")


def member(
    authority: Authority, role: str, id: str, lifetime_s: float | None = None
) -> Credentials:
    name, key = Name("lab", role, id), certificates.new_key()
    chain = authority.issue(certificates.request(key), name, lifetime_s)
    trust = authority.signed_trust().SerializeToString()
    return Credentials(name, certificates.key_to_pem(key), chain, trust)


def test_a_member_is_known_by_what_they_sign(authority: Authority) -> None:
    ada, bob = member(authority, "admin", "ada"), member(authority, "submitter", "bob")
    signed = statement.sign(bob, statement.SIGNS_IN, "AAAA-BBBB", LEAF, "n")
    facts = statement.verify(signed, ada, statement.SIGNS_IN, "AAAA-BBBB", LEAF, "n")
    assert facts.name.short == "submitter/bob"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"purpose": statement.SERVES}, "another purpose"),
        ({"code": "CCCC-DDDD"}, "another code"),
        ({"leaf_sha256": "cd" * 32}, "another TLS certificate"),
        ({"nonce": "m"}, "another nonce"),
    ],
)
def test_it_counts_for_nothing_else(
    authority: Authority, changed: dict[str, str], said: str
) -> None:
    ada, bob = member(authority, "admin", "ada"), member(authority, "submitter", "bob")
    fields = {
        "purpose": statement.SIGNS_IN,
        "code": "AAAA-BBBB",
        "leaf_sha256": LEAF,
        "nonce": "n",
    }
    signed = statement.sign(bob, **{**fields, **changed})
    with pytest.raises(Refused, match=said):
        statement.verify(signed, ada, **fields)


def test_a_changed_statement_is_refused(authority: Authority) -> None:
    ada, bob = member(authority, "admin", "ada"), member(authority, "submitter", "bob")
    signed = json.loads(statement.sign(bob, statement.SIGNS_IN, "AAAA-BBBB", LEAF))
    signed["said"] = signed["said"].replace("AAAA", "CCCC")
    with pytest.raises(Refused, match="not signed"):
        statement.verify(json.dumps(signed), ada, statement.SIGNS_IN, "CCCC-BBBB", LEAF)


def test_an_old_statement_is_refused(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    ada, now = member(authority, "admin", "ada"), time.time()
    signed = statement.sign(ada, statement.SIGNS_IN, "AAAA-BBBB", LEAF)
    monkeypatch.setattr(statement.time, "time", lambda: now + statement.LIFE_S + 60)
    with pytest.raises(Refused, match="not of now"):
        statement.verify(signed, ada, statement.SIGNS_IN, "AAAA-BBBB", LEAF)


def test_strangers_and_the_revoked_are_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "authority", "lab", "first")
    stranger = statement.sign(member(other, "admin", "ada"), statement.SIGNS_IN, "C", LEAF)
    with pytest.raises(Refused) as found:
        statement.verify(stranger, member(authority, "admin", "ada"), statement.SIGNS_IN, "C", LEAF)
    assert found.value.code == "identity_untrusted"

    gone = member(other, "submitter", "bob")
    signed = statement.sign(gone, statement.SIGNS_IN, "C", LEAF)
    issued_at = certificates.read_leaf(gone.chain[0]).issued_at
    assert statement.still_counts("submitter/bob", issued_at, member(other, "admin", "ada"))
    other.revoke(gone.name)
    ada = member(other, "admin", "ada")
    with pytest.raises(Refused) as found:
        statement.verify(signed, ada, statement.SIGNS_IN, "C", LEAF)
    assert found.value.code == "identity_revoked"
    assert not statement.still_counts("submitter/bob", issued_at, ada)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 10_000,
        "x" * 100_000,
        '{"said": 1, "signature": "", "chain": []}',
        '{"said": "", "signature": "", "chain": [1]}',
        '{"said": "{}", "signature": "!", "chain": ["!"]}',
    ],
)
def test_nonsense_is_refused(authority: Authority, text: str) -> None:
    with pytest.raises(NovaError):
        statement.verify(text, member(authority, "admin", "ada"), statement.SERVES, "C", LEAF)


# ------------------------------------------------------------ a limited client


def test_rights_of_calls_are_those_that_nodes_ask_for() -> None:
    """A call that is missing here is refused to every limited client: add it to nova_client.rights."""
    asked = {
        method: "read" if right is Right.BELONG else right.value
        for method, right in METHODS.items()
        if right not in (Right.PEER, Right.JOIN) and method.startswith("/nova.v1.")
    }
    assert dict(rights.METHODS) == asked


class Channel:
    def __init__(self) -> None:
        self.made: list[str] = []

    def unary_unary(self, method: str) -> str:
        self.made.append(method)
        return method

    unary_stream = stream_unary = stream_stream = unary_unary


def test_a_limited_client_sends_nothing_it_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rights.VARIABLE, "read")
    channel = Channel()
    limited = rights.limited(channel)
    for kind in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
        for method, right in [*rights.METHODS.items(), ("/nova.v1.Tasks/Invented", "")]:
            made = getattr(limited, kind)(method)
            if right == rights.READ:
                assert made == method
            else:
                with pytest.raises(Refused) as found:
                    made("request", timeout=1)
                assert found.value.code == "forbidden"
    assert {rights.METHODS[method] for method in channel.made} == {rights.READ}


def test_nothing_is_held_back_unless_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rights.VARIABLE, raising=False)
    channel = Channel()
    assert rights.limited(channel) is channel
    monkeypatch.setenv(rights.VARIABLE, "everything")
    assert rights.held() == frozenset()


# ------------------------------------------------------------ what is served

Act = Callable[[str, ClientSession, Front], Awaitable[None]]


def served(act: Act, approval: Approval | None = None) -> None:
    """A server on this machine; without an `approval` nobody signs in."""

    async def main() -> None:
        listening = serve.listener("127.0.0.1", 0)
        port = listening.getsockname()[1]
        at = Front(
            ("",),
            scheme="http",
            port=port,
            hosts=frozenset({f"127.0.0.1:{port}"}),
            starter="you",
            control="the-key",
            approval=approval,
            tell=lambda _: None,
        )
        runner = AppRunner(at.app(), access_log=None)
        await runner.setup()
        try:
            await SockSite(runner, listening).start()
            async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as web:
                await act(f"http://127.0.0.1:{port}", web, at)
        finally:
            await runner.cleanup()

    asyncio.run(main())


async def enter(url: str, web: ClientSession, at: Front, share: bool = False) -> str:
    """The key of this browser, which holds its cookie from now on."""
    async with web.get(url + at.link(share)["path"]) as reply:
        page = await reply.text()
    return page.partition('data-key="')[2].partition('"')[0]


def test_every_answer_forbids_what_is_not_needed() -> None:
    async def act(url: str, web: ClientSession, at: Front) -> None:
        await enter(url, web, at)
        for path in ("/", "/enter", "/page.js", "/textual.js", "/who", "/nothing", "/enter/wrong"):
            async with web.get(url + path) as reply:
                policy = reply.headers["Content-Security-Policy"]
                assert policy.startswith("default-src 'none'; script-src 'self';"), path
                assert "frame-ancestors 'none'" in policy
                assert reply.headers["X-Content-Type-Options"] == "nosniff"
                assert reply.headers["Server"] == "nova"
                assert reply.headers["Cache-Control"] in ("no-store", "no-cache")

    served(act)


def test_a_page_of_ours_names_no_other_place() -> None:
    texts = [assets.page(name) for name in ("index", "enter", "hop")]
    texts += [
        found.body.decode()
        for name, found in assets.load().items()
        if name in assets.OWN and not name.endswith(".png")
    ]
    for text in texts:
        assert "https://" not in text
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "onclick" not in text.lower()


def test_other_names_and_other_pages_are_refused() -> None:
    async def act(url: str, web: ClientSession, at: Front) -> None:
        key = await enter(url, web, at)
        other = {"Host": "rebound.example:80"}
        async with web.get(url, headers=other) as reply:
            assert reply.status == 421
        for origin in ("http://evil.example", "null", url.replace("http", "https"), url + "0"):
            async with web.get(url + "/who", headers={"Origin": origin, "Nova-Key": key}) as reply:
                assert reply.status == 403, origin
            with pytest.raises(WSServerHandshakeError) as found:
                await web.ws_connect(url + "/ws", headers={"Origin": origin})
            assert found.value.status == 403
        with pytest.raises(WSServerHandshakeError) as found:
            await web.ws_connect(url + "/ws", protocols=("nova", key))
        assert found.value.status == 403

    served(act)


@pytest.mark.parametrize("shown", ["cookie", "key", "nothing", "wrong key"])
def test_a_tab_needs_the_cookie_and_the_key(shown: str) -> None:
    async def act(url: str, web: ClientSession, at: Front) -> None:
        key = await enter(url, web, at)
        protocols = ["nova", {"key": key, "wrong key": "wrong"}.get(shown, "none")]
        if shown in ("key", "nothing"):
            web.cookie_jar.clear()
        async with web.ws_connect(
            url + "/ws", headers={"Origin": url}, protocols=protocols
        ) as wire:
            await wire.receive()
            assert wire.close_code == 4401
        async with web.get(url + "/who", headers={"Nova-Key": protocols[1]}) as reply:
            assert reply.status == 401

    served(act)


def test_too_many_tabs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "TABS_MAX", 0)

    async def act(url: str, web: ClientSession, at: Front) -> None:
        key = await enter(url, web, at)
        offered = ("nova", key)
        async with web.ws_connect(url + "/ws", headers={"Origin": url}, protocols=offered) as wire:
            await wire.receive()
            assert wire.close_code == 4429

    served(act)


def test_the_cookie_is_for_this_server_alone_and_out_of_reach() -> None:
    async def act(url: str, web: ClientSession, at: Front) -> None:
        async with web.get(url + at.link(False)["path"]) as reply:
            cookie = reply.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert cookie.startswith(f"nova-{url.rpartition(':')[2]}=")

    served(act)


def test_who_signed_out_is_out() -> None:
    async def act(url: str, web: ClientSession, at: Front) -> None:
        headers = {"Nova-Key": await enter(url, web, at, share=True)}
        async with web.get(url + "/who", headers=headers) as reply:
            assert await reply.json() == {"who": "a guest of you", "acts": False}
        async with web.post(url + "/sign-out", headers=headers) as reply:
            assert reply.status == 200
        async with web.get(url + "/who", headers=headers) as reply:
            assert reply.status == 401

    served(act)


def test_hostile_bodies_are_answered() -> None:
    async def act(url: str, web: ClientSession, at: Front) -> None:
        async def status(path: str, body: bytes, **headers: str) -> int:
            typed = {"Content-Type": "application/json", **headers}
            async with web.post(url + path, data=body, headers=typed) as reply:
                return reply.status

        assert await status("/sign-in", b"{}") == 204  # nobody signs in here
        assert await status("/approve", b'{"code": "AAAA-BBBB", "statement": ""}') == 404
        for body in (b"", b"[]", b"[" * 9_000, b"\xff\xfe", b"1"):
            assert await status("/sign-in/poll", body) == 400
        assert await status("/sign-in/poll", b'{"secret": "x"}') == 404
        assert await status("/sign-in/poll", b" " * (front.BODY_BYTES_MAX + 9)) == 413
        assert await status("/links", b"{}") == 401
        assert await status("/links", b"{}", Authorization="Bearer the-key") == 200
        async with web.get(url + "/..%2f..%2fserve.py") as reply:
            assert reply.status == 404

    served(act)


def approval_of(identity: Credentials) -> Approval:
    """Of a server that `identity` started; the node it would ask is not there."""
    return Approval(Access("127.0.0.1:1", "first", identity), LEAF, frozenset())


def test_who_may_act_has_to_be_a_name(authority: Authority) -> None:
    ada = member(authority, "admin", "ada")
    with pytest.raises(Invalid):
        Approval(Access("127.0.0.1:1", "first", ada), LEAF, frozenset({"bob"}))


def test_a_member_lets_a_browser_in_once(authority: Authority) -> None:
    ada, bob = member(authority, "admin", "ada"), member(authority, "submitter", "bob")

    async def act(url: str, web: ClientSession, at: Front) -> None:
        async def post(path: str, **body: str) -> tuple[int, dict[str, Any]]:
            async with web.post(url + path, json=body) as reply:
                return reply.status, await reply.json()

        _, page = await post("/sign-in")
        code = page["code"]
        assert (await post("/sign-in/poll", secret=page["secret"]))[0] == 202
        _, asked = await post("/approve/ask", code=code.lower(), nonce="n")
        facts = statement.verify(asked["proof"], bob, statement.SERVES, code, LEAF, "n")
        assert facts.name.short == "admin/ada"

        wrong = statement.sign(bob, statement.SIGNS_IN, code, "cd" * 32)
        assert (await post("/approve", code=code, statement=wrong))[0] == 403
        right = statement.sign(bob, statement.SIGNS_IN, code, LEAF)
        answer = {"who": "submitter/bob", "acts": False}
        assert await post("/approve", code=code, statement=right) == (200, answer)
        assert (await post("/approve", code=code, statement=right))[0] == 404

        _, told = await post("/sign-in/poll", secret=page["secret"])
        async with web.get(url + "/who", headers={"Nova-Key": told["key"]}) as reply:
            assert await reply.json() == answer
        assert (await post("/sign-in/poll", secret=page["secret"]))[0] == 404
        assert [session.who for session in at.doors.sessions()] == ["submitter/bob"]

    served(act, approval_of(ada))


def test_who_is_revoked_is_signed_out(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "authority", "lab", "first")
    bob = member(authority, "submitter", "bob")
    facts = certificates.read_leaf(bob.chain[0])
    authority.revoke(bob.name)

    async def act(_: str, web: ClientSession, at: Front) -> None:
        now = time.time()
        link = at.doors.follow(at.doors.make_link("admin/ada", now)[0], "here", now)
        secret, waits = at.doors.ask("far", "Firefox", now)
        at.doors.approve(waits, "submitter/bob", LOOK, (facts.issued_at, facts.not_after), now)
        keys = at.doors.poll(secret, now)
        assert keys is not None
        at.mind(now)
        assert at.doors.session(keys.cookie, now) is None
        assert at.doors.session(link.cookie, now) is not None

    served(act, approval_of(member(authority, "admin", "ada")))


def test_assets_are_packed_and_kept_by_their_tag() -> None:
    async def act(url: str, web: ClientSession, _: Front) -> None:
        async with web.get(url + "/textual.js") as reply:
            assert len(await reply.text()) > 400_000
            tag = reply.headers["ETag"]
            assert int(reply.headers["Content-Length"]) < 200_000
        async with web.get(url + "/textual.js", headers={"If-None-Match": tag}) as reply:
            assert reply.status == 304

    served(act)


def test_nothing_of_it_is_loaded_before_it_is_asked_for() -> None:
    probe = "import sys, nova_console.cli.console; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {"aiohttp", "textual", "grpc", "cryptography", "nova_console.web"}


def test_a_browser_is_told_in_words() -> None:
    assert front.browser_of(AGENT) == "Chrome on Android"
    assert front.browser_of("<script>") == "a browser"


# ------------------------------------------------------------ its process, files and options


def test_a_tabs_process_ends_with_its_server_even_before_it_shows_anything() -> None:
    theirs, ours = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-m", "nova_console.web.child", str(theirs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(theirs,),
    )
    os.close(theirs)
    os.close(ours)
    assert child.wait(20) == 0
    assert child.stdin is not None
    child.stdin.close()


def test_the_certificate_is_kept_for_its_names_and_its_user(tmp_path: Path) -> None:
    first = certificate.own(tmp_path, ["desk.example", "192.0.2.7"])
    assert first.is_own
    assert len(first.fingerprint) == 95
    assert certificate.own(tmp_path, ["desk.example", "192.0.2.7"]).leaf_sha256 == first.leaf_sha256
    assert certificate.own(tmp_path, ["attic.example"]).leaf_sha256 != first.leaf_sha256
    path = tmp_path / "web.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not certificate.given(path, path).is_own
    path.write_text("nothing")
    with pytest.raises(Invalid):
        certificate.own(tmp_path, ["desk.example"])


def test_a_command_finds_the_server_of_its_user_only_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVA_RUNTIME_DIR", str(tmp_path))
    with control.told("http://127.0.0.1:1", ("127.0.0.1", 1), "key"):
        (path,) = (tmp_path / "web").iterdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(NovaError) as found:
            control.ask_link(share=False)
        assert found.value.code == "unavailable"
    with pytest.raises(NotFound):
        control.ask_link(share=False)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (serve.Options(("",), "192.0.2.1:0"), "cannot listen"),
        (serve.Options(("", "a:1"), "0.0.0.0:0"), "one mesh"),
        (serve.Options(("",), "nowhere:port:x"), "no address"),
        (serve.Options(("",), "127.0.0.1:0", actors=frozenset({"submitter/bob"})), "alone"),
    ],
)
def test_what_cannot_be_served_is_refused(options: serve.Options, why: str) -> None:
    def told(*_: Any) -> None:
        raise AssertionError("it was served")

    with pytest.raises(Invalid, match=why):
        serve.serve(options, told, told)
