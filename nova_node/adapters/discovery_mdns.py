"""Discovery over mDNS: the only file that loads zeroconf, and only once it is started.

It browses before it advertises, because registering takes over a second and a node that has just
come is the one that hurries. What a record says is checked, counted when wrong, never trusted.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import logging
import re
import socket
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from nova_node.adapters.interfaces import choose_ips, default_route_ip, read_interfaces
from nova_node.address import Address, parse_address
from nova_node.core.errors import Invalid
from nova_node.ports import Found

if TYPE_CHECKING:
    from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

SERVICE = "_nova._tcp.local."
RECORDS_MAX = 1_000
STRANGERS_MAX = 64
RESOLVING_MAX = 64
RESOLVE_TIMEOUT_MS = 3_000
RETRY_S = 30.0
CLOSE_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,62}")
_NUMBER = re.compile(r"[0-9]{1,6}")


class _Role(NamedTuple):
    """What `start` was told."""

    me: Found
    listen: Address
    seen: Callable[[Found], None]


class MdnsDiscovery:
    """`ignored` counts records by why they were not used, `strangers` holds nodes of other meshes
    by id, `problem` is why there is no mDNS at present ("" when there is) and `failed` is set with
    it. With `advertise` False it only listens. `listen` is where the node serves, when that is not
    the address that it tells others."""

    def __init__(
        self,
        interfaces: Sequence[str] = (),
        advertise: bool = True,
        listen: Address | None = None,
    ) -> None:
        self.ignored: Counter[str] = Counter()
        self.strangers: dict[str, Found] = {}
        self.problem = ""
        self.announced = asyncio.Event()
        self.failed = asyncio.Event()
        self._interfaces = tuple(interfaces)
        self._advertise = advertise
        self._listen = listen
        self._records: set[str] = set()
        self._resolving: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None

    async def start(self, me: Found, seen: Callable[[Found], None]) -> None:
        """Returns at once; `announced` is set when others can find this node.

        Raises Invalid for an interface that does not exist."""
        listen = parse_address(me.address)
        self._choose(listen)
        self._task = asyncio.create_task(self._keep_trying(_Role(me, listen, seen)))

    async def stop(self) -> None:
        tasks = [*self._resolving.values(), *([self._task] if self._task else [])]
        self._task = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close()

    def _choose(self, listen: Address) -> list[str]:
        where = self._listen or listen
        return choose_ips(read_interfaces(), where, self._interfaces, default_route_ip())

    async def _keep_trying(self, role: _Role) -> None:
        await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        # it warns, with a traceback, of each socket that cannot send while there is no network
        logging.getLogger("zeroconf").setLevel(logging.ERROR)
        from zeroconf import Error as ZeroconfError
        from zeroconf import NonUniqueNameException

        while True:
            try:
                self._browse(role)
                if self._advertise:
                    await self._announce(role)
            except NonUniqueNameException:
                self.problem = (
                    f"another node advertises the id {role.me.node}: a copied data directory?"
                )
            except (OSError, ZeroconfError, Invalid) as error:
                self.problem = str(error) or type(error).__name__
            else:
                self.problem = ""
                self.failed.clear()
                return
            self.failed.set()
            log.warning("no mDNS: %s; trying again in %g s", self.problem, RETRY_S)
            await self._close()
            await asyncio.sleep(RETRY_S)

    def _browse(self, role: _Role) -> None:
        from zeroconf import DNSQuestionType, ServiceStateChange
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

        ips = self._choose(role.listen)
        if not ips:
            raise OSError("no network interface that is up and does multicast")
        loop = asyncio.get_running_loop()

        def changed(name: str, state_change: ServiceStateChange, **_: Any) -> None:
            gone = state_change is ServiceStateChange.Removed
            loop.call_soon_threadsafe(self._changed, name, gone, role)

        self._zeroconf = AsyncZeroconf(interfaces=list(ips))
        # A unicast answer reaches but one of the processes that share port 5353: ask for multicast.
        self._browser = AsyncServiceBrowser(
            self._zeroconf.zeroconf, SERVICE, [changed], question_type=DNSQuestionType.QM
        )

    async def _announce(self, role: _Role) -> None:
        from zeroconf.asyncio import AsyncServiceInfo

        zeroconf: Any = self._zeroconf
        me = role.me
        properties = {
            "id": me.node,
            "version": me.version,
            "mesh": me.mesh,
            "protocol": str(me.protocol),
        }
        if me.join:
            properties["join"] = str(me.join)
        info = AsyncServiceInfo(
            SERVICE,
            f"{me.node}.{SERVICE}",
            port=role.listen.port,
            properties=properties,
            parsed_addresses=[await _ip_of(role.listen)],
        )
        sent = await zeroconf.async_register_service(info, allow_name_change=False)
        self.announced.set()
        await sent

    def _changed(self, name: str, gone: bool, role: _Role) -> None:
        if gone:
            self._records.discard(name)
            return
        if self._task is None or self._zeroconf is None or name == f"{role.me.node}.{SERVICE}":
            return
        from zeroconf.asyncio import AsyncServiceInfo

        info = AsyncServiceInfo(SERVICE, name)
        if info.load_from_cache(self._zeroconf.zeroconf):
            self._introduce(info, role)
        elif name in self._resolving:
            return
        elif len(self._resolving) < RESOLVING_MAX:
            task = asyncio.create_task(self._resolve(info, role))
            self._resolving[name] = task
            task.add_done_callback(lambda _: self._resolving.pop(name, None))
        else:
            self.ignored["too many unresolved"] += 1

    async def _resolve(self, info: AsyncServiceInfo, role: _Role) -> None:
        assert self._zeroconf is not None
        if await info.async_request(self._zeroconf.zeroconf, RESOLVE_TIMEOUT_MS):
            self._introduce(info, role)
        else:
            self.ignored["no answer"] += 1

    def _introduce(self, info: AsyncServiceInfo, role: _Role) -> None:
        instance = info.name.removesuffix("." + SERVICE)
        ips, loopback = info.parsed_addresses(), role.listen.is_loopback
        try:
            found = read_record(instance, info.properties, ips, info.port or 0, loopback)
        except ValueError as error:
            self.ignored[str(error)] += 1
            return
        if found.mesh != role.me.mesh:
            if found.node in self.strangers or len(self.strangers) < STRANGERS_MAX:
                self.strangers[found.node] = found
            self.ignored["another mesh"] += 1
        elif found.node == role.me.node:
            return
        elif info.name not in self._records and len(self._records) >= RECORDS_MAX:
            self.ignored["too many records"] += 1
        else:
            self._records.add(info.name)
            role.seen(found)

    async def _close(self) -> None:
        browser, self._browser = self._browser, None
        zeroconf, self._zeroconf = self._zeroconf, None
        self._records.clear()
        self.announced.clear()
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                if browser is not None:
                    await browser.async_cancel()
                if zeroconf is not None:
                    await zeroconf.async_close()


def read_record(
    instance: str,
    properties: Mapping[bytes, bytes | None],
    ips: Sequence[str],
    port: int,
    loopback: bool,
) -> Found:
    """What a record says of a node. Raises ValueError, one of few texts, when it is malformed or
    contradicts itself; `loopback`: addresses of this machine's own loopback make sense here."""
    texts: dict[str, str] = {}
    for key in (b"id", b"version", b"mesh", b"protocol"):
        value = properties.get(key)
        if value is None or not value.isascii():
            raise ValueError("malformed TXT record")
        texts[key.decode()] = value.decode()
    words = (texts["version"], texts["mesh"])
    if not _ID.fullmatch(texts["id"]) or not all(_WORD.fullmatch(word) for word in words):
        raise ValueError("malformed TXT record")
    if not _NUMBER.fullmatch(texts["protocol"]):
        raise ValueError("malformed TXT record")
    if texts["id"] != instance:
        raise ValueError("TXT record of another id")
    usable = [ip for ip in ips if _is_reachable(ip, loopback)]
    if not usable or not 0 < port <= 65535:
        raise ValueError("no usable address")
    best = min(usable, key=lambda ip: ":" in ip)
    address = str(Address(best, port))
    join = _port_of(properties.get(b"join"))
    return Found(
        texts["id"], address, texts["mesh"], texts["version"], int(texts["protocol"]), join
    )


def _port_of(text: bytes | None) -> int:
    """0 for none. Raises ValueError."""
    if text is None:
        return 0
    if not re.fullmatch(rb"[0-9]{1,5}", text) or not 0 < int(text) <= 65535:
        raise ValueError("malformed TXT record")
    return int(text)


def _is_reachable(text: str, loopback: bool) -> bool:
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        return False
    scoped = ip.version == 6 and ip.is_link_local
    wrong = ip.is_unspecified or ip.is_multicast or scoped or text == "255.255.255.255"
    return not wrong and (loopback or not ip.is_loopback)


async def _ip_of(listen: Address) -> str:
    if listen.ip is not None:
        return listen.host
    loop = asyncio.get_running_loop()
    answers = await loop.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM)
    return str(min(answers, key=lambda answer: answer[0] != socket.AF_INET)[4][0])
