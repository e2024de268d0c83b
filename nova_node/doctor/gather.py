"""Looks at this machine and asks around, all at once and for at most a few seconds.

Judges nothing. Whatever cannot be found out in time stays None.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nova_node.adapters import local_nodes, nodes_grpc, probes
from nova_node.adapters.discovery_mdns import MdnsDiscovery
from nova_node.adapters.interfaces import choose_ips, default_route_ip, read_interfaces
from nova_node.adapters.local_nodes import LocalNode
from nova_node.address import Address, parse_address
from nova_node.config import NodeConfig
from nova_node.core.errors import NovaError
from nova_node.doctor.facts import (
    Asked,
    Echo,
    Facts,
    Firewall,
    Folder,
    Known,
    Refusal,
    Seen,
    serves,
)
from nova_node.doctor.gather_identity import own_identity, tls_refusal
from nova_node.ports import Found
from nova_node.version import VERSION

if TYPE_CHECKING:
    from nova_proto.identity.folder import Credentials

CHECK_TIMEOUT_S = 2.0
LOOK_S = 1.3
PEERS_MAX = 16

T = TypeVar("T")


async def gather(
    config: NodeConfig, peers: Sequence[Address], environ: Mapping[str, str] = os.environ
) -> Facts:
    """`peers` are asked first; then those of the config and those found, at most 16 in all.

    Takes at most 5 s."""
    proxies = tuple(
        (name, environ[name])
        for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY")
        if environ.get(name)
    )
    interfaces = await _within(read_interfaces)
    chosen, choice_error = _chosen(config)
    local = await _within(lambda: tuple(local_nodes.running(local_nodes.nodes_dir(environ)))) or ()
    own, credentials = await _within(lambda: own_identity(config)) or (None, None)
    me = next((node for node in local if serves(node, config.listen)), None)
    async with asyncio.TaskGroup() as group:
        seen = group.create_task(_look(config))
        echoes = group.create_task(_echoes(chosen))
        firewall = group.create_task(_within(_firewall))
        clock = group.create_task(_within(probes.clock_synchronised))
        port_free = group.create_task(_within(lambda: _port_is_free(config.listen)))
        folder = group.create_task(_within(lambda: _folder(config.storage.data_dir)))
        known = group.create_task(_within(lambda: _known(me, credentials)))
    addresses = _to_ask(config, peers, local, seen.result(), known.result())
    mine = (str(config.listen), me.address if me is not None else "")
    others = [address for address in addresses if str(address) not in mine]
    asked = await _ask_all(others[:PEERS_MAX], credentials)
    return Facts(
        listen=config.listen,
        mesh=config.mesh,
        version=VERSION,
        mdns=config.discovery.mdns,
        data_dir=str(config.storage.data_dir.resolve()),
        interfaces=None if interfaces is None else tuple(interfaces),
        chosen_ips=chosen,
        choice_error=choice_error,
        echoes=echoes.result(),
        firewall=firewall.result(),
        proxies=proxies,
        no_proxy=environ.get("no_proxy") or environ.get("NO_PROXY") or "",
        clock_synchronised=clock.result(),
        port_free=port_free.result(),
        folder=folder.result(),
        own=own,
        local=local,
        known=known.result(),
        seen=seen.result(),
        asked=asked,
    )


async def _within(work: Callable[[], T], timeout_s: float = CHECK_TIMEOUT_S) -> T | None:
    """None when it fails or takes too long. In a daemon thread, for a name server that does not
    answer can hold a thread for long, and must not hold up the end of the program."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T | None] = loop.create_future()

    def settle(result: T | None) -> None:
        if not answer.done():
            answer.set_result(result)

    def run() -> None:
        result = None
        with suppress(OSError, NovaError):
            result = work()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, daemon=True).start()
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except TimeoutError:
        return None


def _firewall() -> Firewall:
    return Firewall(*probes.firewall_rules(CHECK_TIMEOUT_S / 2))


def _chosen(config: NodeConfig) -> tuple[tuple[str, ...], str]:
    if not config.discovery.mdns:
        return (), ""
    try:
        wanted = config.discovery.interfaces
        ips = choose_ips(read_interfaces(), config.listen, wanted, default_route_ip())
    except NovaError as error:
        return (), f"{error.message} ({error.fix})"
    return tuple(ips), ""


async def _look(config: NodeConfig) -> Seen | None:
    """Listens to mDNS without advertising."""
    if not config.discovery.mdns:
        return None
    found: dict[str, Found] = {}
    discovery = MdnsDiscovery(config.discovery.interfaces, advertise=False)
    me = Found(f"doctor-{uuid.uuid4().hex}", str(config.listen), config.mesh, "0")
    try:
        await discovery.start(me, lambda other: found.update({other.node: other}))
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await discovery.failed.wait()
        wrong = sum(discovery.ignored.values()) - discovery.ignored["another mesh"]
        strangers = tuple(discovery.strangers.values())
        return Seen(tuple(found.values()), strangers, wrong, discovery.problem)
    except NovaError as error:
        return Seen(problem=error.message)
    finally:
        await discovery.stop()


async def _echoes(ips: Sequence[str]) -> tuple[Echo, ...] | None:
    heard = await asyncio.gather(*(_within(lambda ip=ip: _echo(ip)) for ip in ips))
    return tuple(echo for echo in heard if echo is not None) if all(heard) else None


def _echo(ip: str) -> Echo:
    try:
        return Echo(ip, probes.hears_itself(ip, CHECK_TIMEOUT_S / 2))
    except OSError as error:
        return Echo(ip, False, error.strerror or str(error))


def _port_is_free(listen: Address) -> bool:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
        except OSError:
            return False
    return True


def _folder(data_dir: Path) -> Folder:
    there = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return Folder(str(there), writable, shutil.disk_usage(there).free)


def _known(me: LocalNode | None, credentials: Credentials | None) -> tuple[Known, ...] | None:
    if me is None:
        return None
    said = nodes_grpc.members(me.asked_at, CHECK_TIMEOUT_S / 2, credentials)
    return tuple(Known(m["node"], m["listens"], m["state"], m["skew"]) for m in said)


def _to_ask(
    config: NodeConfig,
    peers: Sequence[Address],
    local: Sequence[LocalNode],
    seen: Seen | None,
    known: Sequence[Known] | None,
) -> list[Address]:
    addresses = [*peers, *config.discovery.peers]
    for text in (
        *(node.address for node in local),
        *(found.address for found in (seen.found if seen else ())),
        *(member.address for member in known or ()),
    ):
        try:
            addresses.append(parse_address(text))
        except NovaError:
            continue
    return list(dict.fromkeys(addresses))


async def _ask_all(
    addresses: Sequence[Address], credentials: Credentials | None
) -> tuple[Asked, ...]:
    asked = await asyncio.gather(*(_within(lambda a=a: _ask(a, credentials)) for a in addresses))
    return tuple(
        answer or Asked(str(address), tcp_error="no answer in time")
        for address, answer in zip(addresses, asked, strict=True)
    )


def _ask(address: Address, credentials: Credentials | None) -> Asked:
    step_s = CHECK_TIMEOUT_S / 3.5
    asked = Asked(str(address))
    try:
        socket.create_connection((address.host, address.port), step_s).close()
    except OSError as error:
        return asked._replace(tcp_error=error.strerror or str(error))
    if credentials is not None and (refusal := tls_refusal(address, credentials, step_s)):
        return asked._replace(refusal=refusal)
    try:
        health, rtt_ms = nodes_grpc.health(str(address), step_s, credentials)
    except NovaError as error:
        if error.code.startswith("identity_"):  # what the peer has against this node
            return asked._replace(refusal=Refusal(error.code, error.message, error.fix))
        return asked._replace(health_error=error.message)
    asked = asked._replace(health=health, rtt_ms=rtt_ms)
    try:
        said = nodes_grpc.status(str(address), step_s, credentials)
    except NovaError as error:
        return asked._replace(status_error=error.message)
    return asked._replace(
        node=said["node"],
        name=said["name"],
        mesh=said["mesh"],
        version=said["version"],
        protocol=said["protocol"],
    )
