"""A small network of namespaces on one Linux machine: every host has an address, and can be cut off.

The hosts hang on a bridge in a namespace of its own; this process reaches them from `home`, which no fault
touches. 198.18.0.0/15 is set aside for tests of networks: nothing else is there.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Self

import psutil

TOOLS = ("ip", "iptables", "nsenter", "ss", "tc")


def missing() -> str:
    """Why there can be no namespaces here; "" when there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs Linux and root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {', '.join(absent)}" if absent else ""


class Network:
    """`with Network(3) as network`: hosts 0, 1, 2; removed on exit, whatever happened."""

    def __init__(self, hosts: int) -> None:
        self.hosts = range(hosts)
        self._tag = f"nv{secrets.token_hex(3)}"
        self._switch = f"{self._tag}-s"
        self._home_link = f"{self._tag}h"
        self._subnet, self._taken = _take_subnet()
        self._numbers = [host + 1 for host in self.hosts]
        #: the address of this process on the network
        self.home = f"{self._subnet}.254"

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["ip", "link", "del", self._home_link], check=False, capture_output=True)
        for namespace in [*map(self._namespace, self.hosts), self._switch]:
            subprocess.run(["ip", "netns", "del", namespace], check=False, capture_output=True)
        self._taken.close()

    def _build(self) -> None:
        _ip("netns", "add", self._switch)
        self._in_switch("ip", "link", "add", "br0", "type", "bridge")
        self._in_switch("ip", "link", "set", "br0", "up")
        for host in self.hosts:
            namespace = self._namespace(host)
            _ip("netns", "add", namespace)
            self._plug(f"p{host}", "eth0", namespace)
            self._in(host, "ip", "link", "set", "lo", "up")
            self.plug_in(host)
        self._plug("home", self._home_link, None)
        _ip("addr", "add", f"{self.home}/24", "dev", self._home_link)
        _ip("link", "set", self._home_link, "up")

    def _plug(self, port: str, end: str, namespace: str | None) -> None:
        """A cable from a port of the switch to an interface `end` of a namespace, or of this one."""
        there = ("netns", namespace) if namespace else ("netns", str(os.getpid()))
        self._in_switch("ip", "link", "add", port, "type", "veth", "peer", "name", end, *there)
        self._in_switch("ip", "link", "set", port, "master", "br0", "up")

    def _namespace(self, host: int) -> str:
        return f"{self._tag}-{host}"

    def _in_switch(self, *command: str) -> None:
        _run(*_inside(self._switch), *command)

    def _in(self, host: int, *command: str) -> None:
        _run(*self.command(host), *command)

    # ------------------------------------------------------------ hosts

    def ip(self, host: int) -> str:
        return f"{self._subnet}.{self._numbers[host]}"

    def command(self, host: int) -> tuple[str, ...]:
        """What to put before a command to run it on a host; the process is the command's own."""
        return _inside(self._namespace(host))

    def move(self, host: int) -> None:
        """It gets another address and loses the one it had, as in another network."""
        self.unplug(host)
        self._numbers[host] += 100
        self.plug_in(host)

    def plug_in(self, host: int) -> None:
        self._in(host, "ip", "addr", "add", f"{self.ip(host)}/24", "dev", "eth0")
        self._in(host, "ip", "link", "set", "eth0", "up")
        self._in(host, "ip", "route", "add", "default", "via", self.home)

    # ------------------------------------------------------------ faults

    def unplug(self, host: int) -> None:
        """It has neither network nor address until it is plugged in."""
        self._in(host, "ip", "link", "set", "eth0", "down")
        self._in(host, "ip", "addr", "flush", "dev", "eth0")

    def cut(self, one: int, other: int) -> None:
        """Nothing passes between two hosts."""
        self.deafen(one, other)
        self.deafen(other, one)

    def deafen(self, host: int, to: int) -> None:
        """A host no longer hears another one, which still hears it."""
        self._iptables(host, "INPUT", "-s", self.ip(to), "-j", "DROP")

    def isolate(self, host: int) -> None:
        """Nothing passes between a host and any other."""
        for other in self.hosts:
            if other != host:
                self.cut(host, other)

    def lose(self, share: float) -> None:
        """Every host loses this share of the packets that others send it."""
        for host in self.hosts:
            chance = ("-m", "statistic", "--mode", "random", "--probability", str(share))
            self._iptables(host, "INPUT", "!", "-s", self.home, *chance, "-j", "DROP")

    def reset(self, one: int, other: int) -> None:
        """TCP connections between two hosts are reset at their next packet, new ones refused."""
        for host, peer in ((one, other), (other, one)):
            reject = ("-j", "REJECT", "--reject-with", "tcp-reset")
            self._iptables(host, "INPUT", "-p", "tcp", "-s", self.ip(peer), *reject)

    def slow(self, host: int, kbit: int) -> None:
        """A host sends at most so many kilobits a second; what waits longer than 2 s is dropped."""
        link = ("tc", "qdisc", "replace", "dev", "eth0", "root", "tbf")
        self._in(host, *link, "rate", f"{kbit}kbit", "burst", "8kb", "latency", "2s")

    def heal(self) -> None:
        for host in self.hosts:
            self._in(host, "iptables", "-w", "-F")
            self._in(host, "tc", "qdisc", "replace", "dev", "eth0", "root", "pfifo")

    def connections(self, host: int, to: str) -> int:
        """How many TCP connections of a host to an address are open in the eyes of that host."""
        command = [*self.command(host), "ss", "-Htn", "state", "established", "dst", to]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return len(done.stdout.splitlines())

    def _iptables(self, host: int, chain: str, *rule: str) -> None:
        self._in(host, "iptables", "-w", "-A", chain, *rule)


def _take_subnet() -> tuple[str, IO[bytes]]:
    """The first three numbers of a subnet that nobody here has, a killed run neither; it is this one's
    until the file is closed."""
    for number in random.sample(range(255), 255):
        subnet = f"198.18.{number}"
        file = (Path(tempfile.gettempdir()) / f"nova-tests-{subnet}.lock").open("wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        addresses = [each.address for found in psutil.net_if_addrs().values() for each in found]
        if not any(address.startswith(f"{subnet}.") for address in addresses):
            return subnet, file
        file.close()
    raise OSError(
        "every subnet of 198.18.0.0/16 is in use: remove what killed runs left (`ip link`)"
    )


def _inside(namespace: str) -> tuple[str, ...]:
    """`ip netns exec` would take a copy of all mounts too, and a disk of `power` that is mounted meanwhile
    could not be let go of."""
    return ("nsenter", f"--net=/run/netns/{namespace}")


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
