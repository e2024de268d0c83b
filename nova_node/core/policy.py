"""Who may do what: the rights that each call needs, the rights of each role, and which capabilities
a submitter's role may run on a node.

Rule: what is not written here is denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from nova_node.core.errors import Invalid

Labels = tuple[tuple[str, str], ...]


class Right(StrEnum):
    """What a call asks of the caller's role."""

    #: see tasks, nodes and blobs, and that a node is well
    READ = "read"
    #: hand in tasks and their blobs, requeue dead letters: a submitter its own, an admin all
    SUBMIT = "submit"
    #: end tasks: a submitter its own, an admin all
    CANCEL = "cancel"
    #: change what a node does
    OPERATE = "operate"
    #: be a node among nodes
    PEER = "peer"
    #: renew one's certificate, learn what the mesh trusts
    BELONG = "belong"
    #: enter the mesh: no member needs to, and the listener for strangers offers nothing else
    JOIN = "join"


RIGHTS: Mapping[str, frozenset[Right]] = {
    "admin": frozenset({Right.READ, Right.SUBMIT, Right.CANCEL, Right.OPERATE, Right.BELONG}),
    "submitter": frozenset({Right.READ, Right.SUBMIT, Right.CANCEL, Right.BELONG}),
    "worker": frozenset({Right.READ, Right.PEER, Right.BELONG}),
    "observer": frozenset({Right.READ, Right.BELONG}),
}

METHODS: Mapping[str, Right] = {
    "/nova.v1.Tasks/Submit": Right.SUBMIT,
    "/nova.v1.Tasks/Session": Right.SUBMIT,
    "/nova.v1.Tasks/Watch": Right.READ,
    "/nova.v1.Tasks/Get": Right.READ,
    "/nova.v1.Tasks/List": Right.READ,
    "/nova.v1.Tasks/Explain": Right.READ,
    "/nova.v1.Tasks/Logs": Right.READ,
    "/nova.v1.Tasks/Cancel": Right.CANCEL,
    "/nova.v1.Tasks/Requeue": Right.SUBMIT,
    "/nova.v1.Blobs/Put": Right.SUBMIT,
    "/nova.v1.Blobs/Get": Right.READ,
    "/nova.v1.Metrics/Query": Right.READ,
    "/nova.v1.Metrics/Top": Right.READ,
    "/nova.v1.Metrics/Stats": Right.READ,
    "/nova.v1.Metrics/Series": Right.READ,
    "/nova.v1.Nodes/List": Right.READ,
    "/nova.v1.Nodes/Capabilities": Right.READ,
    "/nova.v1.Nodes/Status": Right.READ,
    "/nova.v1.Nodes/Drain": Right.OPERATE,
    "/nova.v1.Nodes/Resume": Right.OPERATE,
    "/nova.v1.Mesh/Probe": Right.PEER,
    "/nova.v1.Mesh/ProbeVia": Right.PEER,
    "/nova.v1.Mesh/Sync": Right.PEER,
    "/nova.v1.Mesh/GetCard": Right.PEER,
    "/nova.v1.Mesh/Work": Right.PEER,
    "/nova.v1.Identity/Renew": Right.BELONG,
    "/nova.v1.Identity/GetTrust": Right.BELONG,
    "/nova.v1.Identity/PutTrust": Right.PEER,
    "/nova.v1.Identity/PutHead": Right.PEER,
    "/nova.v1.Join/Roots": Right.JOIN,
    "/nova.v1.Join/Enroll": Right.JOIN,
    "/grpc.health.v1.Health/Check": Right.READ,
    "/grpc.health.v1.Health/List": Right.READ,
    "/grpc.health.v1.Health/Watch": Right.READ,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Right.READ,
}


def may(role: str, right: Right) -> bool:
    return right in RIGHTS.get(role, ())


@dataclass(frozen=True, slots=True)
class CapabilityRule:
    """Submitters of this role may run these capabilities (`*` stands for any signs) on the nodes
    that carry all of these labels."""

    role: str
    capability: str
    labels: Labels = ()

    def __str__(self) -> str:
        return " ".join([self.role, self.capability, *(f"{k}={v}" for k, v in self.labels)])


DEFAULT_RULES = (CapabilityRule("admin", "*"), CapabilityRule("submitter", "*"))

RULE_LABELS_MAX = 16
STARS_MAX = 4
USES_MAX = 64
_CAPABILITY = re.compile(r"[a-z][a-z0-9_-]{0,62}\.[a-z][a-z0-9_-]{0,62}")
_PATTERN = re.compile(r"[a-z0-9_.*-]{1,127}")
_LABEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,62})=([A-Za-z0-9._/:@+-]{0,63})")


def may_run(rules: Iterable[CapabilityRule], role: str, capability: str, labels: Labels) -> bool:
    """Whether a submitter of `role` may have a node with these `labels` run `capability`."""
    return may(role, Right.SUBMIT) and any(
        rule.role == role
        and fnmatchcase(capability, rule.capability)
        and all(label in labels for label in rule.labels)
        for rule in rules
    )


def parse_rule(text: str) -> CapabilityRule:
    """ "submitter text.* zone=lab": a role, a capability, labels. Raises Invalid."""
    role, capability, *rest = *text.split(), "", ""
    labels = [_LABEL.fullmatch(label) for label in rest if label]
    if not may(role, Right.SUBMIT):
        raise _unreadable(text, "its first word is no role that may submit: admin, submitter")
    if not _PATTERN.fullmatch(capability) or capability.count("*") > STARS_MAX:
        raise _unreadable(text, "its second word is no capability")
    if len(labels) > RULE_LABELS_MAX or not all(labels):
        raise _unreadable(text, "what follows the capability are no labels")
    return CapabilityRule(role, capability, tuple(sorted((m[1], m[2]) for m in labels if m)))


# ---------------------------------------------------------------- what capabilities ask for

Uses = Mapping[str, frozenset[str]]

_PROMPTS = frozenset({"llm.chat"})

USES: Uses = {
    "code.solve": frozenset({"llm.chat", "python.run"}),
    "llm.best": _PROMPTS,
    "review.code": _PROMPTS,
    "review.performance": _PROMPTS,
    "review.security": _PROMPTS,
    "write.docs": _PROMPTS,
    "write.tests": _PROMPTS,
}
"""Which capabilities a capability that waits may ask the mesh for, with its submitter's rights."""


def with_uses(texts: Iterable[str]) -> Uses:
    """USES and more: "demo.plan core.echo text.wordcount" lets demo.plan ask for the others.
    Raises Invalid."""
    uses = dict(USES)
    for text in texts:
        asking, *asked = text.split()[:USES_MAX] or [""]
        if not asked or not all(_CAPABILITY.fullmatch(each) for each in (asking, *asked)):
            raise Invalid(
                f"{text[:80]!a} does not tell what a capability asks for",
                "write CAPABILITY CAPABILITY ..., as in: demo.plan core.echo text.wordcount",
            )
        uses[asking] = uses.get(asking, frozenset()).union(asked)
    return uses


def reached(uses: Uses, capability: str) -> frozenset[str]:
    """All that it may come to while `capability` runs: what it asks for, and what that asks for."""
    found: set[str] = set()
    open_ = [capability]
    while open_:
        more = uses.get(open_.pop(), frozenset()) - found
        found |= more
        open_ += more
    return frozenset(found)


def _unreadable(text: str, why: str) -> Invalid:
    return Invalid(
        f"{text[:80]!a} is no rule: {why}",
        "write ROLE CAPABILITY [LABEL=VALUE ...], as in: submitter text.* zone=lab",
    )
