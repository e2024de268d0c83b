"""The endpoint as a program: it listens, and ends with the signal, or with whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from nova_client import Client, Invalid

from nova_console.openai.app import Endpoint
from nova_console.openai.guard import check_listen, is_loopback

SHUTDOWN_S = 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    host: str
    #: 0 takes a free one
    port: int
    key: str = ""
    tls: tuple[Path, Path] | None = None
    local_only: bool = False
    timeout_s: float = 600.0
    #: end when stdin does: the sign that the node which started this is gone
    until_eof: bool = False


def check(plan: Plan) -> None:
    """Raises Refused (it would be open to others) and Invalid."""
    check_listen(plan.host, bool(plan.key), plan.tls is not None)


async def serve(client: Client, plan: Plan, say: Callable[[str], None]) -> None:
    """Until the end is asked for. `say` is told the address. Raises Invalid: it cannot listen."""
    endpoint = Endpoint(
        client,
        key=plan.key,
        loopback=is_loopback(plan.host),
        local_only=plan.local_only,
        timeout_s=plan.timeout_s,
    )
    runner = web.AppRunner(
        endpoint.app(), handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN_S
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, plan.host, plan.port, ssl_context=_tls(plan), reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise Invalid(
                f"cannot listen on {plan.host}:{plan.port}: {error.strerror or error}",
                "name another with --listen HOST:PORT",
            ) from None
        scheme = "https" if plan.tls else "http"
        host = f"[{plan.host}]" if ":" in plan.host else plan.host
        say(f"{scheme}://{host}:{runner.addresses[0][1]}/v1")
        await _until_the_end(plan.until_eof)
    finally:
        await runner.cleanup()


async def _until_the_end(until_eof: bool) -> None:
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    if until_eof:
        # readable: its end, since nothing is ever written to it
        os.set_blocking(0, False)
        loop.add_reader(0, _read_out, end)
    try:
        await end.wait()
    finally:
        if until_eof:
            loop.remove_reader(0)


def _read_out(end: asyncio.Event) -> None:
    with contextlib.suppress(BlockingIOError):
        if not os.read(0, 4_096):
            end.set()


def _tls(plan: Plan) -> ssl.SSLContext | None:
    if plan.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_cert_chain(*plan.tls)
    except (OSError, ssl.SSLError) as error:
        raise Invalid(
            f"cannot read the certificate or its key: {error}", "give both as PEM files"
        ) from None
    return context
