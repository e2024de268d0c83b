"""The web server, from its options to its end. Its starter's credential is the one that tabs act with.

Rule: on this machine alone, plain HTTP and links; beyond it, TLS and members who sign in.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aiohttp import web
from nova_client import Invalid, NovaError, find
from nova_client.find import Access

from nova_console.web import control
from nova_console.web.doors import secret
from nova_console.web.front import Front

if TYPE_CHECKING:
    from nova_console.web.approval import Approval
    from nova_console.web.certificate import Shown

PORT = 7680
MIND_EVERY_S = 15.0
STOP_TIMEOUT_S = 2.0
KEEPALIVE_S = 30.0


class Options(NamedTuple):
    #: of each mesh to show one address, "" the node of this machine
    nodes: tuple[str, ...]
    listen: str = f"127.0.0.1:{PORT}"
    cert: Path | None = None
    key: Path | None = None
    #: whether a link that only shows is printed too
    share: bool = False
    #: names of members who may act as the starter
    actors: frozenset[str] = frozenset()


class Started(NamedTuple):
    """What the person needs to come in."""

    url: str
    link: str
    share: str
    #: of the certificate that browsers will ask about, else ""
    fingerprint: str
    #: the mesh that members sign in to, else ""
    mesh: str


def serve(
    options: Options, started: Callable[[Started], None], tell: Callable[[str], None]
) -> None:
    """Until it is interrupted or told to end. Raises NovaError."""
    asyncio.run(_serve(options, started, tell))


async def _serve(
    options: Options, started: Callable[[Started], None], tell: Callable[[str], None]
) -> None:
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    ending = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    host, port = _split(options.listen)
    with listener(host, port) as listening:
        port = int(listening.getsockname()[1])
        key = secret()
        plan = await asyncio.to_thread(_plan, options, host, port)
        front = Front(
            options.nodes,
            scheme=plan.scheme,
            port=port,
            hosts=plan.hosts,
            starter=plan.starter,
            control=key,
            approval=plan.approval,
            tell=tell,
        )
        runner = web.AppRunner(front.app(), access_log=None, keepalive_timeout=KEEPALIVE_S)
        await runner.setup()
        site = web.SockSite(
            runner, listening, ssl_context=plan.tls, shutdown_timeout=STOP_TIMEOUT_S
        )
        minding = asyncio.create_task(_mind(front, tell))
        try:
            await site.start()
            with control.told(plan.url, _reach(host, port), key):
                link = plan.url + front.link(share=False)["path"]
                share = plan.url + front.link(share=True)["path"] if options.share else ""
                started(Started(plan.url, link, share, plan.fingerprint, plan.mesh))
                await ending.wait()
        finally:
            minding.cancel()
            await front.end()
            await runner.cleanup()


async def _mind(front: Front, tell: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(MIND_EVERY_S)
        try:
            front.mind(time.time())
        except NovaError as error:
            tell(f"members cannot be checked: {error.message}")


# ------------------------------------------------------------ where and how


class _Plan(NamedTuple):
    """What differs between this machine alone and beyond."""

    scheme: str
    #: names that it answers to; none is any
    hosts: frozenset[str]
    url: str
    starter: str
    approval: Approval | None = None
    tls: ssl.SSLContext | None = None
    fingerprint: str = ""
    mesh: str = ""


def _plan(options: Options, host: str, port: int) -> _Plan:
    """Raises NovaError. Blocks."""
    if _is_loopback(host):
        if options.cert or options.key or options.actors:
            raise Invalid(
                "on this machine alone nobody signs in, and nothing is encrypted",
                "leave out --cert, --key and --may-act, or listen beyond it: --listen 0.0.0.0",
            )
        names = ("127.0.0.1", "localhost", "[::1]", _bracketed(host))
        known = frozenset(f"{name}:{port}" for name in names)
        return _Plan("http", known, f"http://{_bracketed(host)}:{port}", "you")
    if len(options.nodes) != 1:
        raise Invalid(
            "members sign in to one mesh, and several nodes were named",
            "beyond this machine, serve each mesh by itself: one --node",
        )
    from nova_console.web.approval import Approval  # loads cryptography

    way = _member(options.nodes[0])
    shown = _certificate(options, host)
    approval = Approval(way, shown.leaf_sha256, options.actors)
    return _Plan(
        "https",
        frozenset(),
        f"https://{_bracketed(_name_of(host))}:{port}",
        approval.starter,
        approval,
        shown.context,
        shown.fingerprint if shown.is_own else "",
        approval.mesh,
    )


def _member(node: str) -> Access:
    from nova_client import identity

    way = identity.access(find.find_place(node or os.environ.get("NOVA_NODE", "")))
    if way.identity is None:
        raise Invalid(
            "beyond this machine people sign in as members, and this node is of no mesh",
            "make one with nova-node init, or reach this machine through ssh -L"
            f" {PORT}:127.0.0.1:{PORT}",
        )
    return way


def _certificate(options: Options, host: str) -> Shown:
    from nova_console.web import certificate

    if options.cert is not None and options.key is not None:
        return certificate.given(options.cert, options.key)
    if options.cert is not None or options.key is not None:
        raise Invalid("--cert and --key belong together", "give both, or neither")
    import platformdirs

    name = _name_of(host)
    names = [name] if name == socket.gethostname() else [name, socket.gethostname()]
    return certificate.own(Path(platformdirs.user_config_dir("nova", appauthor=False)), names)


def _split(listen: str) -> tuple[str, int]:
    """Port 0 takes a free one. Raises Invalid."""
    if listen.endswith(":0"):
        return find.split(listen.removesuffix(":0"))[0], 0
    return find.split(listen, PORT)


def listener(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.create_server(address, family=family, backlog=64)
    except OSError as error:
        raise Invalid(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "name another with --listen HOST:PORT; port 0 takes a free one",
        ) from None
    made.setblocking(False)
    return made


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def _is_any(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_unspecified
    return False


def _name_of(host: str) -> str:
    """That others know this machine by."""
    return socket.gethostname() if _is_any(host) else host


def _reach(host: str, port: int) -> tuple[str, int]:
    return ("127.0.0.1" if _is_any(host) else host), port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
