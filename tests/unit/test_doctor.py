"""From facts to findings, one table for each check; then a look at this very machine."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nova_node.adapters.interfaces import Interface
from nova_node.adapters.local_nodes import LocalNode
from nova_node.address import Address
from nova_node.config import load
from nova_node.doctor import decide, report
from nova_node.doctor.decide import FAIL, OK, WARN, blocking_rules, findings, worst
from nova_node.doctor.facts import (
    Asked,
    Echo,
    Facts,
    Finding,
    Firewall,
    Folder,
    Known,
    Own,
    Refusal,
    Seen,
    Verdict,
)
from nova_node.doctor.gather import gather
from nova_node.ports import Found

ETH = Interface("eth0", ("192.0.2.7",), True, True)
DOCKER = Interface("docker0", ("172.17.0.1",), True, True)
PEER = Found("peer-id-1", "192.0.2.8:7600", "nova", "0.1.0")
GOOD = Asked(
    "192.0.2.8:7600",
    health="SERVING",
    node="peer-id-1",
    name="b",
    mesh="nova",
    version="0.1.0",
    protocol=1,
)
HEALTHY = Facts(
    listen=Address("192.0.2.7", 7600),
    mesh="nova",
    version="0.1.0",
    mdns=True,
    data_dir="data",
    protocol=1,
    interfaces=(ETH,),
    chosen_ips=("192.0.2.7",),
    echoes=(Echo("192.0.2.7", True),),
    firewall=Firewall(""),
    clock_synchronised=True,
    port_free=True,
    folder=Folder("data", True, 1 << 40),
    seen=Seen((PEER,)),
    asked=(GOOD,),
)
LOCAL = replace(HEALTHY, listen=Address("127.0.0.1", 7600))
MEMBER = Own(None, "worker/my-id", "nova", "peer-id-1", 86_400.0, 50_000.0, -30.0)
EXPIRED = Refusal("identity_expired", "the certificate of worker/x ended 9 s ago", "join again")
ME = LocalNode("my-id", "a", "192.0.2.7:7600", "nova", "data", 42)


def about(check: str, facts: Facts) -> list[Finding]:
    return [finding for finding in findings(facts) if finding.check.startswith(check)]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("identity_missing", "mutual TLS"),
        ("identity_malformed", "no authority"),
        ("identity_wrong_mesh", "leave each other alone"),
        ("identity_wrong_name", "its own name"),
        ("identity_untrusted", "none of the roots"),
        ("identity_revoked", "nova-node revoke"),
        ("identity_expired", "not renewed in time"),
        ("identity_not_yet_valid", "later moment"),
        ("unavailable", "no TLS handshake"),
    ],
)
def test_each_failure_of_tls_is_named(code: str, why: str) -> None:
    asked = Asked("192.0.2.8:7600", refusal=Refusal(code, "what", "fix"))
    (found,) = about("peer", replace(HEALTHY, own=MEMBER, asked=(asked,)))
    assert (found.verdict, found.what, found.fix) == (FAIL, "what", "fix")
    assert why in found.why


@pytest.mark.parametrize(
    ("behind_s", "synchronised", "why"),
    [
        (7_200.0, None, "at least 2 h behind"),
        (-1.0, False, "not synchronised"),
        (-1.0, True, "a clock is wrong"),
    ],
)
def test_a_wrong_clock_is_suspected(behind_s: float, synchronised: bool | None, why: str) -> None:
    asked = Asked("192.0.2.8:7600", refusal=EXPIRED)
    own = MEMBER._replace(behind_s=behind_s)
    facts = replace(HEALTHY, own=own, asked=(asked,), clock_synchronised=synchronised)
    (found,) = about("peer", facts)
    assert why in found.why


def test_a_node_that_listens_everywhere_is_found_in_its_address() -> None:
    everywhere = replace(HEALTHY, listen=Address("0.0.0.0"), local=(ME,), port_free=False)
    (found,) = about("port", everywhere)
    assert (found.verdict, found.what) == (OK, "node a (my-id) listens on 0.0.0.0:7600")


def test_a_healthy_machine_has_nothing_to_fix() -> None:
    found = findings(HEALTHY)
    assert worst(found) is OK
    assert {f.check for f in found} == {
        "interfaces",
        "multicast",
        "firewall",
        "proxy",
        "clock",
        "port",
        "data",
        "identity",
        "mdns",
        "peer 192.0.2.8:7600",
    }


@pytest.mark.parametrize(
    ("check", "change", "verdict", "said"),
    [
        ("interfaces", {"chosen_ips": ()}, FAIL, "no network interface"),
        ("interfaces", {"choice_error": "no interface 'x'"}, FAIL, "no interface 'x'"),
        ("interfaces", {"interfaces": None}, WARN, "in time"),
        ("interfaces", {"interfaces": (ETH, DOCKER)}, OK, "skipped docker0"),
        ("interfaces", {"mdns": False, "chosen_ips": ()}, OK, "not needed"),
        ("multicast", {"echoes": (Echo("192.0.2.7", False),)}, FAIL, "no packet"),
        ("multicast", {"echoes": (Echo("192.0.2.7", False, "denied"),)}, FAIL, "denied"),
        ("multicast", {"echoes": None}, WARN, "in time"),
        ("firewall", {"firewall": Firewall(None, "needs more rights")}, WARN, "cannot be read"),
        ("firewall", {"firewall": None}, WARN, "in time"),
        ("proxy", {"proxies": (("http_proxy", "x"),)}, WARN, "lacks 192.0.2.7"),
        ("proxy", {"proxies": (("http_proxy", "x"),), "no_proxy": "a, 192.0.2.7"}, OK, "spares"),
        ("proxy", {"proxies": (("http_proxy", "x"),), "no_proxy": "*"}, OK, "spares"),
        ("identity", {}, OK, "none"),
        ("identity", {"own": MEMBER}, OK, "worker/my-id of mesh nova, 14 h left"),
        ("identity", {"own": MEMBER._replace(left_s=9_000.0)}, WARN, "2 h left of 24 h"),
        ("identity", {"own": MEMBER._replace(refusal=EXPIRED)}, FAIL, "ended 9 s ago"),
        ("clock", {"clock_synchronised": False}, WARN, "not synchronised"),
        ("clock", {"clock_synchronised": None}, OK, "not known"),
        ("port", {"port_free": False}, FAIL, "taken by another program"),
        ("port", {"port_free": False, "local": (ME,)}, OK, "node a (my-id) listens"),
        ("port", {"port_free": None}, WARN, "in time"),
        ("data", {"folder": Folder("data", False, 1 << 40)}, FAIL, "cannot be written"),
        ("data", {"folder": Folder("data", True, 1 << 20)}, WARN, "1 MiB left"),
        ("data", {"folder": None}, WARN, "in time"),
        ("data", {"local": (ME,)}, OK, "in use by that node"),
        ("data", {"local": (ME._replace(address="x:1"),)}, WARN, "in use by process 42"),
        ("mdns", {"seen": Seen()}, WARN, "no other node"),
        ("mdns", {"seen": Seen((PEER._replace(address="192.0.2.7:7600"),))}, WARN, "no other"),
        ("mdns", {"seen": Seen(problem="no sockets")}, FAIL, "no sockets"),
        ("mdns", {"seen": None}, WARN, "in time"),
        ("mdns", {"mdns": False}, OK, "is off"),
        ("mdns", {"seen": Seen((PEER,), ignored=3)}, WARN, "3 records"),
        ("mesh", {"seen": Seen(strangers=(PEER._replace(mesh="lab"),))}, WARN, "mesh lab"),
        ("peer", {"asked": (Asked("x:1", tcp_error="refused"),)}, FAIL, "refused"),
        ("peer", {"asked": (Asked("x:1", health_error="no node"),)}, FAIL, "no node"),
        ("peer", {"asked": (GOOD._replace(health="NOT_SERVING"),)}, WARN, "NOT_SERVING"),
        ("peer", {"asked": (GOOD._replace(status_error="refused"),)}, WARN, "refused"),
        ("peer", {"asked": (GOOD._replace(mesh="lab"),)}, FAIL, "of mesh lab"),
        ("peer", {"asked": (GOOD._replace(protocol=2),)}, FAIL, "protocol 2"),
        ("peer", {"asked": (GOOD._replace(version="0.2.0"),)}, OK, "version 0.2.0"),
        ("peer", {"known": (Known("peer-id-1", "x", "dead"),)}, WARN, "b (peer-id-)"),
        ("peer", {"known": (Known("peer-id-1", "x", "alive", "old"),)}, FAIL, "b (peer-id-)"),
        ("peer", {"known": (Known("peer-id-1", "x", "alive"),)}, OK, "b (peer-id-)"),
        ("peer", {"known": ()}, WARN, "b (peer-id-)"),
    ],
)
def test_each_fact_has_its_finding(
    check: str, change: dict[str, Any], verdict: Verdict, said: str
) -> None:
    found = about(check, replace(HEALTHY, **change))
    assert worst(found) is verdict
    assert any(said in f.what and f.verdict is verdict for f in found), found
    assert all(f.fix or f.why for f in found if f.verdict is not OK)


IPTABLES = """*filter
:INPUT {policy} [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
{rules}
COMMIT
"""


@pytest.mark.parametrize(
    ("rules", "dropping", "by_default"),
    [
        (IPTABLES.format(policy="ACCEPT", rules=""), 0, False),
        (IPTABLES.format(policy="DROP", rules=""), 0, True),
        (IPTABLES.format(policy="DROP", rules="-A INPUT -p tcp --dport 7600 -j ACCEPT"), 0, False),
        (IPTABLES.format(policy="DROP", rules="-A INPUT -p udp --dport 7600 -j ACCEPT"), 0, True),
        (
            IPTABLES.format(
                policy="DROP", rules="-A INPUT -p tcp -m multiport --dports 22,7000:8000 -j ACCEPT"
            ),
            0,
            False,
        ),
        (IPTABLES.format(policy="ACCEPT", rules="-A INPUT -p tcp --dport 7600 -j DROP"), 1, False),
        (IPTABLES.format(policy="ACCEPT", rules="-A INPUT -p tcp --dport 76001 -j DROP"), 0, False),
        (IPTABLES.format(policy="ACCEPT", rules="-A OUTPUT -p tcp --dport 7600 -j DROP"), 0, False),
        (
            IPTABLES.format(
                policy="ACCEPT", rules="-A INPUT -j REJECT --reject-with icmp-host-prohibited"
            ),
            0,
            True,
        ),
        ("type filter hook input priority filter; policy drop;", 0, True),
        ("type filter hook input priority filter; policy accept;", 0, False),
        ("hook input priority 0; policy drop;\n tcp dport { 22, 7600 } accept", 0, False),
        ("hook input priority 0; policy accept;\n tcp dport 7600 counter packets 0 drop", 1, False),
    ],
)
def test_firewall_rules(rules: str, dropping: int, by_default: bool) -> None:
    found, default = blocking_rules(rules, "tcp", 7600)
    assert (len(found), default) == (dropping, by_default)


def test_a_firewall_matters_less_to_a_node_of_this_machine_only() -> None:
    shut = Firewall(IPTABLES.format(policy="DROP", rules=""))
    assert worst(about("firewall", replace(HEALTHY, firewall=shut))) is WARN
    assert worst(about("firewall", replace(LOCAL, firewall=shut))) is OK
    dropped = Firewall(
        IPTABLES.format(policy="ACCEPT", rules="-A INPUT -p udp --dport 5353 -j DROP")
    )
    assert worst(about("firewall", replace(HEALTHY, firewall=dropped))) is FAIL
    assert worst(about("firewall", replace(LOCAL, firewall=dropped))) is WARN


def test_report_in_words_and_json() -> None:
    found = [Finding("clock", WARN, "late", "because", "wind it"), Finding("port", OK, "free")]
    text = report.as_text(found)
    assert "warn  clock  late" in text
    assert "fix: wind it" in text
    assert "1 ok, 1 warn, 0 fail" in text
    document = json.loads(json.dumps(report.as_json(found)))
    assert document["schema"] == 1
    assert document["verdict"] == "warn"
    assert document["findings"][0]["fix"] == "wind it"


def test_gathering_ends_in_time_and_tells_of_this_machine(tmp_path: Path) -> None:
    config = load({"listen": "127.0.0.1:0", "data_dir": tmp_path / "data"}, {}).config
    environ = {"NOVA_RUNTIME_DIR": str(tmp_path / "runtime"), "https_proxy": "proxy:1"}
    nobody = Address("127.0.0.1", 1)
    began = time.monotonic()
    facts = asyncio.run(gather(config, [nobody], environ))
    assert time.monotonic() - began < 10
    assert facts.asked[0].address == str(nobody)
    assert facts.asked[0].tcp_error
    assert facts.proxies == (("https_proxy", "proxy:1"),)
    assert facts.folder is not None
    assert facts.folder.path == str(tmp_path)
    assert facts.chosen_ips == ("127.0.0.1",)
    assert decide.findings(facts)
