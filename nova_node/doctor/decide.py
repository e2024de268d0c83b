"""From facts to findings. Pure: each function judges one thing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from nova_node.doctor import decide_identity
from nova_node.doctor.facts import Asked, Facts, Finding, Known, Verdict

OK, WARN, FAIL = Verdict.OK, Verdict.WARN, Verdict.FAIL
MDNS_PORT = 5353
LOW_SPACE_BYTES = 512 << 20
LINES_SHOWN = 3


def findings(facts: Facts) -> list[Finding]:
    checks: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
        interfaces,
        skipped_interfaces,
        multicast,
        firewall,
        proxy,
        clock,
        port,
        data_dir,
        decide_identity.identity,
        mdns,
        meshes,
        peers,
    )
    return [finding for check in checks for finding in check(facts)]


def worst(found: list[Finding]) -> Verdict:
    verdicts = {finding.verdict for finding in found}
    return FAIL if FAIL in verdicts else WARN if WARN in verdicts else OK


def interfaces(facts: Facts) -> Iterator[Finding]:
    if not facts.mdns:
        yield Finding("interfaces", OK, "not needed: mDNS is off")
    elif facts.choice_error:
        yield Finding("interfaces", FAIL, facts.choice_error, fix="see --interface")
    elif facts.interfaces is None:
        yield _unknown("interfaces")
    elif not facts.chosen_ips:
        yield Finding(
            "interfaces",
            FAIL,
            "no network interface is up and does multicast",
            "mDNS has nowhere to ask",
            "connect to a network, name one with --interface, or join with --peer HOST:PORT",
        )
    else:
        names = [i.name for i in facts.interfaces if set(i.ips) & set(facts.chosen_ips)]
        only = " (this machine only)" if facts.listen.is_loopback else ""
        ips = ", ".join(facts.chosen_ips)
        yield Finding("interfaces", OK, f"mDNS uses {', '.join(names) or ips}: {ips}{only}")


def skipped_interfaces(facts: Facts) -> Iterator[Finding]:
    skipped = [
        i.name
        for i in facts.interfaces or ()
        if i.of_containers and i.up and not set(i.ips) & set(facts.chosen_ips)
    ]
    if facts.mdns and skipped:
        yield Finding(
            "interfaces",
            OK,
            f"skipped {', '.join(skipped[:8])}",
            "bridges and pairs of containers lead to no other machine",
            "to use one all the same: --interface NAME",
        )


def multicast(facts: Facts) -> Iterator[Finding]:
    if not facts.mdns:
        return
    if facts.echoes is None:
        yield _unknown("multicast")
    for echo in facts.echoes or ():
        if echo.heard:
            yield Finding(
                "multicast",
                OK,
                f"a packet to the mDNS group came back on {echo.ip}",
                "whether the network between machines passes it, only a second machine can tell",
            )
        else:
            yield Finding(
                "multicast",
                FAIL,
                f"no packet to the mDNS group came back on {echo.ip}"
                + (f": {echo.error}" if echo.error else ""),
                "nodes cannot find each other by mDNS there",
                "allow UDP port 5353 in the firewall, or join with --peer HOST:PORT",
            )


def firewall(facts: Facts) -> Iterator[Finding]:
    if facts.firewall is None:
        yield _unknown("firewall")
        return
    if facts.firewall.rules is None:
        yield Finding(
            "firewall",
            OK if facts.listen.is_loopback else WARN,
            f"the rules cannot be read: {facts.firewall.error}",
            "a rule could drop packets to this node without a trace",
            "run the doctor as root to see them" if "rights" in facts.firewall.error else "",
        )
        return
    wanted = [("tcp", facts.listen.port)] + ([("udp", MDNS_PORT)] if facts.mdns else [])
    quiet = True
    for protocol, number in wanted:
        dropping, by_default = blocking_rules(facts.firewall.rules, protocol, number)
        name = f"{protocol} port {number}"
        if dropping:
            quiet = False
            yield Finding(
                "firewall",
                WARN if facts.listen.is_loopback else FAIL,
                f"rules drop {name}: {' | '.join(dropping[:LINES_SHOWN])}",
                "peers cannot reach this node there",
                f"allow {name} from the machines of the mesh",
            )
        elif by_default and not facts.listen.is_loopback:
            quiet = False
            yield Finding(
                "firewall",
                WARN,
                f"what comes in is dropped by default and no rule names {name}",
                "peers may not reach this node",
                f"allow {name} from the machines of the mesh",
            )
    if quiet:
        yield Finding("firewall", OK, "no rule seems to stand in the way")


def blocking_rules(rules: str, protocol: str, port: int) -> tuple[list[str], bool]:
    """Of iptables-save or nft text: the rules that drop the port on its way in, and whether all is
    dropped that no rule allows. A judgement by the look of it: jumps are not followed."""
    dropping: list[str] = []
    by_default = allowed = False
    for line in (raw.strip() for raw in rules.splitlines()):
        if re.search(r"^:INPUT (DROP|REJECT)\b|hook input .*policy drop", line):
            by_default = True
        if re.match(r"-A (OUTPUT|FORWARD)\b", line):
            continue
        drops = re.search(r"-j (DROP|REJECT)\b|\b(drop|reject)\b(?!;)", line)
        accepts = re.search(r"-j ACCEPT\b|\baccept\b(?!;)", line)
        if re.match(r"-A INPUT -j (DROP|REJECT)\b", line):
            by_default = True
        elif _names_port(line, protocol, port):
            if drops:
                dropping.append(line)
            elif accepts:
                allowed = True
    return dropping, by_default and not allowed


def _names_port(line: str, protocol: str, port: int) -> bool:
    ports = re.search(r"dports? +(\{[^}]*\}|[0-9][0-9,:-]*)", line)
    if ports is None or not re.search(rf"\b{protocol}\b", line):
        return False
    for low, high in re.findall(r"([0-9]+)(?: *[:-] *([0-9]+))?", ports[1]):
        if int(low) <= port <= int(high or low):
            return True
    return False


def proxy(facts: Facts) -> Iterator[Finding]:
    if not facts.proxies:
        yield Finding("proxy", OK, "no proxy is set")
        return
    names = ", ".join(name for name, _ in facts.proxies)
    spared = {host.strip().lower() for host in facts.no_proxy.split(",")}
    if "*" in spared or facts.listen.host.lower() in spared:
        yield Finding("proxy", OK, f"{names} set, no_proxy spares {facts.listen.host}")
    else:
        yield Finding(
            "proxy",
            WARN,
            f"{names} set, and no_proxy lacks {facts.listen.host}",
            "Nova's own programs ignore proxies; other gRPC clients would send calls to the proxy",
            f"add {facts.listen.host} to no_proxy",
        )


def clock(facts: Facts) -> Iterator[Finding]:
    match facts.clock_synchronised:
        case True:
            yield Finding("clock", OK, "the system clock is synchronised")
        case False:
            yield Finding(
                "clock",
                WARN,
                "the system clock is not synchronised",
                "no decision depends on it, but times shown for tasks will disagree between nodes",
                "switch on NTP, for example `timedatectl set-ntp true`",
            )
        case None:
            yield Finding(
                "clock",
                OK,
                "whether the clock is synchronised is not known",
                "this system does not tell, and nodes do not compare clocks",
            )


def port(facts: Facts) -> Iterator[Finding]:
    holder = facts.holder
    if holder is not None:
        what = f"node {holder.name} ({holder.node}) listens on {facts.listen}"
        yield Finding("port", OK, what)
    elif facts.port_free is None:
        yield _unknown("port")
    elif facts.port_free:
        yield Finding("port", OK, f"{facts.listen} is free: no node of this config runs now")
    else:
        yield Finding(
            "port",
            FAIL,
            f"{facts.listen} is taken by another program",
            "a node with this config cannot start",
            "choose another port: --listen 127.0.0.1:PORT (0 takes a free one)",
        )


def data_dir(facts: Facts) -> Iterator[Finding]:
    if facts.folder is None:
        yield _unknown("data")
        return
    folder = facts.folder
    holder = next((n for n in facts.local if n.data_dir == facts.data_dir), None)
    if not folder.writable:
        yield Finding(
            "data",
            FAIL,
            f"{folder.path} cannot be written",
            "a node keeps its journal there",
            "change its permissions, or choose another with --data-dir",
        )
    elif holder is not None and holder == facts.holder:
        yield Finding("data", OK, f"{facts.data_dir} is in use by that node")
    elif holder is not None:
        yield Finding(
            "data",
            WARN,
            f"{facts.data_dir} is in use by process {holder.pid}",
            "a second node cannot start on it",
            "give each node a folder of its own with --data-dir",
        )
    elif folder.free_bytes < LOW_SPACE_BYTES:
        free_mb = folder.free_bytes >> 20
        why = "a node without space refuses new tasks"
        yield Finding("data", WARN, f"{free_mb} MiB left at {folder.path}", why, "make room")
    else:
        yield Finding("data", OK, f"{facts.data_dir} can be used")


def mdns(facts: Facts) -> Iterator[Finding]:
    if not facts.mdns:
        why = "nodes are joined by --peer only, or by those remembered from last time"
        yield Finding("mdns", OK, "mDNS is off", why)
        return
    if facts.seen is None:
        yield _unknown("mdns")
        return
    if facts.seen.problem:
        fix = "join with --peer HOST:PORT; see the findings above"
        yield Finding("mdns", FAIL, facts.seen.problem, "no peer can be found by mDNS", fix)
        return
    me = facts.holder
    mine = (str(facts.listen), me.address if me is not None else "")
    others = [f for f in facts.seen.found if f.address not in mine]
    if others:
        shown = ", ".join(f"{f.node[:8]} at {f.address}" for f in others[:8])
        yield Finding("mdns", OK, f"{len(others)} of mesh {facts.mesh}: {shown}")
    else:
        yield Finding(
            "mdns",
            WARN,
            f"no other node of mesh {facts.mesh} answered",
            "none runs, or multicast does not pass between you",
            "start one, or ask it directly: nova-node doctor --peer HOST:PORT",
        )
    if facts.seen.ignored:
        what = f"{facts.seen.ignored} records were malformed or contradicted themselves"
        yield Finding("mdns", WARN, what, "another program may use the name _nova._tcp")


def meshes(facts: Facts) -> Iterator[Finding]:
    for mesh in sorted({found.mesh for found in (facts.seen.strangers if facts.seen else ())}):
        assert facts.seen is not None
        others = [f.address for f in facts.seen.strangers if f.mesh == mesh]
        yield Finding(
            "mesh",
            WARN,
            f"{len(others)} nodes of mesh {mesh} are near: {', '.join(others[:8])}",
            f"this config is of mesh {facts.mesh}; meshes leave each other alone",
            f"if they should be one, start with --mesh {mesh}",
        )


def peers(facts: Facts) -> Iterator[Finding]:
    for asked in facts.asked:
        yield _peer(facts, asked)


def _peer(facts: Facts, asked: Asked) -> Finding:
    check = f"peer {asked.address}"
    if asked.tcp_error:
        why = "nothing listens there, or a firewall or route is in the way"
        fix = "start the node there; see its own `nova-node doctor`"
        return Finding(check, FAIL, f"cannot connect: {asked.tcp_error}", why, fix)
    if asked.refusal is not None:
        return decide_identity.tls(facts, asked, check)
    if asked.health_error:
        why = "something listens there, but it does not talk like a node"
        return Finding(check, FAIL, asked.health_error, why, "check host and port")
    if asked.health != "SERVING":
        what = f"it answers {asked.health or 'nothing'}"
        return Finding(check, WARN, what, "it is starting, draining or stopping", "wait, ask again")
    if asked.status_error:
        why = "it is healthy but does not tell what it is"
        return Finding(check, WARN, asked.status_error, why, "compare versions")
    if asked.mesh != facts.mesh:
        why = f"this config is of mesh {facts.mesh}; meshes leave each other alone"
        fix = (
            f"start both with the same --mesh ({facts.mesh} or {asked.mesh}), or see nova-node join"
        )
        return Finding(check, FAIL, f"it is of mesh {asked.mesh}", why, fix)
    if asked.protocol != facts.protocol:
        what = f"it speaks protocol {asked.protocol} (version {asked.version}), we {facts.protocol}"
        why = "nodes of unlike protocol refuse each other's work"
        return Finding(check, FAIL, what, why, "install the same version on both")
    return _agreeing_peer(facts, asked, check)


def _agreeing_peer(facts: Facts, asked: Asked, check: str) -> Finding:
    what = f"{asked.name} ({asked.node[:8]}), version {asked.version}, {asked.rtt_ms:.0f} ms"
    known = _known(facts, asked)
    if known is not None and known.state in ("dead", "left"):
        why = f"it answers us, but the node here holds it for {known.state}"
        fix = "it returns by itself within seconds; if not, restart the node here with --peer"
        return Finding(check, WARN, what, why, fix)
    if known is not None and known.skew:
        return Finding(check, FAIL, what, known.skew, "install the same version on both")
    if facts.known is not None and known is None:
        why = "it answers us, but the node here does not know it"
        return Finding(check, WARN, what, why, f"start here with --peer {asked.address}")
    if asked.version != facts.version:
        why = f"it has another version than this ({facts.version}); the protocol is the same"
        return Finding(check, OK, what, why)
    return Finding(check, OK, what)


def _known(facts: Facts, asked: Asked) -> Known | None:
    return next((k for k in facts.known or () if k.node == asked.node), None)


def _unknown(check: str) -> Finding:
    return Finding(check, WARN, "could not be found out in time", fix="run the doctor again")
