"""Small questions to the operating system that tell why machines do not hear each other."""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
import uuid

MDNS_GROUP = "224.0.0.251"
MDNS_PORT = 5353
RULES_MAX_CHARS = 1 << 20

_TIME_ERROR = 5
"""adjtimex: the clock is not synchronised."""


def hears_itself(ip: str, timeout_s: float) -> bool:
    """Whether a harmless question sent to the mDNS group on `ip` comes back. Raises OSError."""
    label = f"_nova-{uuid.uuid4().hex[:9]}".encode()
    names = b"".join(bytes([len(part)]) + part for part in (label, b"_tcp", b"local"))
    question = struct.pack("!6H", 0, 0, 1, 0, 0, 0) + names + b"\0" + struct.pack("!2H", 12, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port.bind(("", MDNS_PORT))
        membership = socket.inet_aton(MDNS_GROUP) + socket.inet_aton(ip)
        port.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        port.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(ip))
        port.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        port.setblocking(False)
        port.sendto(question, (MDNS_GROUP, MDNS_PORT))
        end = time.monotonic() + timeout_s
        while (left_s := end - time.monotonic()) > 0:
            if select.select([port], [], [], left_s)[0] and port.recv(9_000) == question:
                return True
    return False


def firewall_rules(timeout_s: float) -> tuple[str | None, str]:
    """The rules of nft or iptables as text, or None and why there is none."""
    if not sys.platform.startswith("linux"):
        return None, f"not known how on {sys.platform}"
    texts: list[str] = []
    errors: list[str] = []
    for command in (["nft", "list", "ruleset"], ["iptables-save"]):
        path = shutil.which(command[0], path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
        if path is None:
            errors.append(f"no {command[0]} here")
            continue
        try:
            run = subprocess.run(
                [path, *command[1:]],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s / 2,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            errors.append(f"{command[0]}: {type(error).__name__}")
            continue
        if run.returncode == 0:
            texts.append(run.stdout.decode(errors="replace")[:RULES_MAX_CHARS])
        else:
            errors.append(f"{command[0]} needs more rights")
    return ("\n".join(texts), "") if texts else (None, ", ".join(errors))


def clock_synchronised() -> bool | None:
    """What the kernel says of its clock; None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return None
    state = int(adjtimex(ctypes.create_string_buffer(512)))
    return None if state < 0 else state != _TIME_ERROR
