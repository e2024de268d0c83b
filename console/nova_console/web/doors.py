"""Who may come in: links, sign-ins that wait, and the sessions that come of both. Pure but for its secrets.

Rule: whatever lets somebody in is unguessable, ends, and is kept as a hash; everything is counted, and
what is full refuses. Times are unix seconds.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from nova_client import Invalid, NotFound, Overloaded, rights

LINKS_MAX = 32
ENTER_LINK_S, SHARE_LINK_S = 900.0, 8 * 3_600.0
SESSIONS_MAX = 64
SESSION_S = 12 * 3_600.0
SIGN_INS_MAX = 64
SIGN_IN_S = 300.0
TRIES_MAX, TRIES_WITHIN_S = 12, 60.0
REMOTES_MAX = 256

_CODE_SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_CHARS = 8
LOOK = frozenset({rights.READ})


def secret() -> str:
    return secrets.token_urlsafe(32)


def code() -> str:
    """Forty bits that a person can type, as in 7K2M-9QXD."""
    signs = "".join(secrets.choice(_CODE_SIGNS) for _ in range(_CODE_CHARS))
    return f"{signs[:4]}-{signs[4:]}"


def plain_code(typed: str) -> str:
    """As `code` makes it, however it was typed."""
    signs = "".join(sign for sign in typed.upper() if sign.isalnum())
    return f"{signs[:4]}-{signs[4:]}"


def _hash(text: str) -> bytes:
    return sha256(text.encode("utf-8", "replace")).digest()


class Keys(NamedTuple):
    """What a browser has to show, each the other's complement: other servers of the same host see the
    cookie, other pages of the same site see neither."""

    cookie: str
    key: str


@dataclass(eq=False, slots=True)
class Session:
    """One browser that was let in."""

    #: a member's name, or how it came in
    who: str
    rights: frozenset[str]
    expires_at: float
    #: of the certificate it was signed in with; 0 for a link
    issued_at: float
    key_hash: bytes = field(repr=False)
    tabs: int = 0
    #: told when it ends before its time
    on_end: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])


class _Link(NamedTuple):
    who: str
    rights: frozenset[str]
    expires_at: float
    once: bool


@dataclass(eq=False, slots=True)
class SignIn:
    """A browser that shows a code and waits for a member to approve it."""

    code: str
    remote: str
    browser: str
    asked_at: float
    expires_at: float
    #: set by the approval
    session: Session | None = None
    keys: Keys | None = None


class Doors:
    def __init__(self) -> None:
        self._links: dict[bytes, _Link] = {}
        #: by the hash of the cookie
        self._sessions: dict[bytes, Session] = {}
        #: by the hash of the secret that only the browser knows
        self._sign_ins: dict[bytes, SignIn] = {}
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    # ------------------------------------------------------------ links

    def make_link(self, who: str, now: float, *, share: bool = False) -> tuple[str, float]:
        """Its secret and its end. It lets one browser in as `who`, or to `share` any number who only look.

        Raises Overloaded."""
        self._sweep(now)
        _bound(self._links, LINKS_MAX, "links")
        token = secret()
        expires_at = now + (SHARE_LINK_S if share else ENTER_LINK_S)
        held = LOOK if share else rights.ALL
        self._links[_hash(token)] = _Link(who, held, expires_at, once=not share)
        return token, expires_at

    def follow(self, token: str, remote: str, now: float) -> Keys:
        """Raises NotFound, Overloaded."""
        self._sweep(now)
        link = self._links.get(_hash(token))
        if link is None:
            self.count_try(remote, now)
            raise NotFound(
                "this link is used up, ended, or of another server",
                "get another where the server runs: nova console --web-link",
            )
        expires_at = link.expires_at if not link.once else now + SESSION_S
        keys, _ = self._let_in(link.who, link.rights, expires_at, 0.0, now)
        if link.once:
            del self._links[_hash(token)]
        return keys

    # ------------------------------------------------------------ signing in

    def ask(self, remote: str, browser: str, now: float) -> tuple[str, SignIn]:
        """A secret for the browser, and what the person sees. Raises Overloaded."""
        self.count_try(remote, now)
        self._sweep(now)
        _bound(self._sign_ins, SIGN_INS_MAX, "sign-ins")
        token, waiting = secret(), SignIn(code(), remote, browser, now, now + SIGN_IN_S)
        self._sign_ins[_hash(token)] = waiting
        return token, waiting

    def waiting(self, typed: str, remote: str, now: float) -> SignIn:
        """The sign-in of that code. Raises NotFound, Overloaded."""
        self.count_try(remote, now)
        self._sweep(now)
        wanted = plain_code(typed)
        for found in self._sign_ins.values():
            if found.session is None and secrets.compare_digest(
                found.code.encode(), wanted.encode()
            ):
                return found
        raise NotFound(
            "no browser waits with that code",
            "type the code that the page shows now; it changes after five minutes",
        )

    def approve(
        self, waits: SignIn, who: str, held: frozenset[str], facts: tuple[float, float], now: float
    ) -> Session:
        """`facts` are when the member's certificate was issued and when it ends. Raises Overloaded."""
        issued_at, not_after = facts
        end = min(now + SESSION_S, not_after)
        waits.keys, waits.session = self._let_in(who, held, end, issued_at, now)
        return waits.session

    def poll(self, token: str, now: float) -> Keys | None:
        """The keys once it was approved, and only once; None while it waits. Raises NotFound."""
        self._sweep(now)
        waits = self._sign_ins.get(_hash(token))
        if waits is None:
            raise NotFound("this sign-in has ended", "begin again")
        if waits.keys is not None:
            del self._sign_ins[_hash(token)]
        return waits.keys

    # ------------------------------------------------------------ sessions

    def session(self, cookie: str, now: float, key: str | None = None) -> Session | None:
        """Without a `key` (a page is asked for, which holds nothing) the cookie is enough."""
        found = self._sessions.get(_hash(cookie))
        if found is None or now >= found.expires_at:
            return None
        if key is not None and not secrets.compare_digest(_hash(key), found.key_hash):
            return None
        return found

    def sessions(self) -> Iterable[Session]:
        return tuple(self._sessions.values())

    def end(self, session: Session) -> None:
        for cookie, known in list(self._sessions.items()):
            if known is session:
                del self._sessions[cookie]
        for told in tuple(session.on_end):
            told()

    def end_late(self, now: float) -> None:
        for late in [each for each in self.sessions() if now >= each.expires_at]:
            self.end(late)

    def _let_in(
        self, who: str, held: frozenset[str], expires_at: float, issued_at: float, now: float
    ) -> tuple[Keys, Session]:
        self.end_late(now)
        _bound(self._sessions, SESSIONS_MAX, "browsers")
        keys = Keys(secret(), secret())
        session = Session(who, held, expires_at, issued_at, _hash(keys.key))
        self._sessions[_hash(keys.cookie)] = session
        return keys, session

    # ------------------------------------------------------------ bounds

    def count_try(self, remote: str, now: float) -> None:
        """Raises Overloaded when there were too many from there."""
        tries = self._tries.setdefault(remote, deque())
        self._tries.move_to_end(remote)
        if len(self._tries) > REMOTES_MAX:
            self._tries.popitem(last=False)
        while tries and tries[0] <= now - TRIES_WITHIN_S:
            tries.popleft()
        if len(tries) >= TRIES_MAX:
            raise Overloaded("too many tries from there", "wait a minute")
        tries.append(now)

    def _sweep(self, now: float) -> None:
        for late in [key for key, link in self._links.items() if now >= link.expires_at]:
            del self._links[late]
        for old in [key for key, waits in self._sign_ins.items() if now >= waits.expires_at]:
            del self._sign_ins[old]


def _bound(held: Mapping[bytes, object], most: int, what: str) -> None:
    if len(held) >= most:
        raise Overloaded(f"there are {most} {what} already", "end one, or wait until one ends")


def rights_of(name: str, role: str, starter: str, actors: frozenset[str]) -> frozenset[str]:
    """What a member may do here. The server acts as its starter, so nobody else acts unless the starter
    said so, and nobody does what their own role forbids.

    Raises Invalid for who is no person."""
    if role not in _ROLES:
        raise Invalid(f"{name} is no person", "sign in with an identity made by nova login")
    return _ROLES[role] if name == starter or name in actors else LOOK & _ROLES[role]


_ROLES = {
    "admin": rights.ALL,
    "submitter": rights.ALL - {rights.OPERATE},
    "observer": LOOK,
}
