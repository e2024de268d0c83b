"""From facts to findings about identity: this node's own, and why a peer's TLS fails. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from nova_node.doctor.facts import Asked, Facts, Finding, Refusal, Verdict

LATE_SHARE = 0.25
"""Of a certificate's life: renewal is tried from a third on."""

_CLOCK = ("identity_expired", "identity_not_yet_valid")

_WHY = {
    "identity_missing": "members talk mutual TLS only; what listens there does not",
    "identity_malformed": "no authority of a mesh makes such a certificate",
    "identity_wrong_mesh": "meshes leave each other alone",
    "identity_wrong_name": "each node is held to its own name, so one cannot pass for another",
    "identity_untrusted": "its certificate was signed by none of the roots known here: another mesh"
    " of the same name, or one of the two missed a rotation",
    "identity_revoked": "somebody ran nova-node revoke, and all its members heard of it",
    "identity_expired": "its certificate was not renewed in time, or a clock is wrong",
    "identity_not_yet_valid": "its certificate counts from a later moment than this clock shows",
    "unavailable": "it takes connections, but no TLS handshake came to an end",
}


def identity(facts: Facts) -> Iterator[Finding]:
    own = facts.own
    if own is None:
        yield Finding(
            "identity",
            Verdict.OK,
            "none: this node serves this machine only",
            "on several machines, the nodes of a mesh are members with certificates",
            "nova-node init makes a mesh, nova-node join enters one",
        )
    elif own.refusal is not None:
        yield Finding(
            "identity",
            Verdict.FAIL,
            f"{own.name or 'its files'}: {own.refusal.message}",
            _clock_why(facts, own.refusal) or "no peer accepts this node like this",
            own.refusal.fix,
        )
    elif own.left_s < LATE_SHARE * own.life_s:
        yield Finding(
            "identity",
            Verdict.WARN,
            f"{own.name}: {_span(own.left_s)} left of {_span(own.life_s)}, and not renewed yet",
            f"renewal asks node {own.authority}, which holds the authority",
            "see that this node runs, and that it reaches that one",
        )
    else:
        yield Finding(
            "identity", Verdict.OK, f"{own.name} of mesh {own.mesh}, {_span(own.left_s)} left"
        )


def tls(facts: Facts, asked: Asked, check: str) -> Finding:
    """Why a peer that takes connections cannot be talked to."""
    refusal = asked.refusal
    assert refusal is not None
    why = _clock_why(facts, refusal) or _WHY.get(refusal.code, "")
    return Finding(check, Verdict.FAIL, refusal.message, why, refusal.fix)


def _clock_why(facts: Facts, refusal: Refusal) -> str:
    """A wrong clock here, where something tells of one."""
    if refusal.code not in _CLOCK:
        return ""
    if facts.own is not None and facts.own.behind_s > 0:
        return (
            f"this machine's clock is at least {_span(facts.own.behind_s)} behind: what the mesh"
            " signed last is from later than now"
        )
    if facts.clock_synchronised is False:
        return "this machine's clock is not synchronised, so it may be that"
    return ""


def _span(seconds: float) -> str:
    for size_s, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size_s:
            return f"{seconds / size_s:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
