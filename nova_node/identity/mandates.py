"""Whether a submitter signed what is asked, and may have it run here.

Rule: an owner checks at the submit that its caller says what the mandate says; a node checks the
signature and each attempt before it runs one, whoever sent it. What was verified is remembered, so an
attempt costs one digest.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from nova_proto.identity.errors import IdentityError, shown
from nova_proto.identity.mandate import (
    DIGEST_BYTES,
    SKEW_S,
    Verified,
    Verifier,
    audience_of,
    digest,
    digest_of_args,
    digests,
    read_manifest,
)
from nova_proto.identity.names import Name
from nova_proto.identity.trust import revocations
from nova_proto.v1 import identity_pb2, task_pb2, tasks_pb2

from nova_node.adapters.wire import call_to_pb
from nova_node.adapters.wire_demand import demand_from_bytes
from nova_node.core.errors import Invalid, Refused
from nova_node.core.model import (
    Attempt,
    Call,
    Demand,
    Durability,
    Failure,
    Group,
    Mandate,
    Phase,
)
from nova_node.core.policy import USES, CapabilityRule, Labels, Uses, may_run, reached

REMEMBERED_MAX = 1024
REMEMBERED_BYTES_MAX = 64 << 20


class Mandates:
    """Of one node. `rules` and `labels` say what it runs for whom, `uses` what a task may come to
    without that being signed itself; `now` is unix seconds."""

    def __init__(
        self,
        me: str,
        trust: identity_pb2.Trust,
        rules: Sequence[CapabilityRule],
        labels: Labels,
        now: Callable[[], float],
        uses: Uses = USES,
    ) -> None:
        self._me = me
        self._uses = uses
        self._rules = tuple(rules)
        self._labels = labels
        self._now = now
        self._verdicts: dict[tuple[str, str], bool] = {}
        self._known: OrderedDict[Mandate, _Judged] = OrderedDict()
        self._known_bytes = 0
        self.trust(trust)

    def trust(self, trust: identity_pb2.Trust) -> None:
        """What the mesh trusts from now on: everything is verified again."""
        self._mesh = trust.mesh
        self._verifier = Verifier(trust.mesh, trust.roots, revocations(trust))
        self._known.clear()
        self._known_bytes = 0

    # ------------------------------------------------------------ the owner's side

    def check_submit(
        self, request: tasks_pb2.SubmitRequest, groups: Sequence[Group], caller: Name
    ) -> Mandate:
        """The mandate of a submit that `caller` hands in, which says the same as `groups`. Who signed it
        is for those to see who run it: here the connection proves the caller.

        Raises Refused."""
        if not request.mandate:
            raise _refused("nobody signed this submit", "mandate_invalid")
        now = self._now()
        try:
            manifest = read_manifest(request.mandate, now)
        except IdentityError as error:
            raise Refused(error.message, error.fix, error.code) from None
        if manifest.mesh != self._mesh:
            raise _refused(f"it is for the mesh {shown(manifest.mesh)}")
        if manifest.audience != self._me:
            raise _refused(f"it is for node {shown(manifest.audience)}, this is {self._me}")
        if manifest.request_id != request.request_id:
            raise _refused("it is for another request")
        if now - manifest.issued_at > SKEW_S:
            raise _refused(f"it was signed {now - manifest.issued_at:.0f} s ago", "mandate_expired")
        if len(manifest.groups) != len(groups) or any(
            signed.calls != digests(pb.calls) or _demand(signed.demand) != group.demand
            for signed, pb, group in zip(manifest.groups, request.groups, groups, strict=True)
        ):
            raise _refused("it is for other calls")
        return Mandate(caller.short, request.mandate)

    # ------------------------------------------------------------ the worker's side

    def is_for(self, mandate: Mandate, owner: str) -> bool:
        """Whether it was signed for this owner, who alone may send the calls themselves; others
        send parts of them. Raises Invalid."""
        judged = self._judge(mandate)
        if isinstance(judged, _Judged):
            return judged.audience == owner
        try:
            return audience_of(mandate.signed) == owner
        except IdentityError as error:
            raise Invalid(error.message, error.fix, error.code) from None

    def refusals(self, attempts: Sequence[Attempt]) -> dict[int, Failure]:
        """Why some of these attempts may not run here, by their place in the sequence."""
        refused: dict[int, Failure] = {}
        mandate: Mandate | None = None
        judged: _Judged | Failure = _UNSIGNED
        for place, attempt in enumerate(attempts):
            if attempt.mandate is not mandate:
                mandate = attempt.mandate
                judged = self._judge(mandate) if mandate is not None else _UNSIGNED
            failure = judged if isinstance(judged, Failure) else judged.refusal(attempt)
            if failure is not None:
                refused[place] = failure
        return refused

    def _judge(self, mandate: Mandate) -> _Judged | Failure:
        now = self._now()
        known = self._known.get(mandate)
        if known is not None and now < known.expires_at:
            self._known.move_to_end(mandate)
            return known
        try:
            verified = self._verifier.verify(mandate.signed, now)
            if verified.submitter.short != mandate.submitter:
                raise _refused(f"{verified.submitter.short} signed it, not {mandate.submitter}")
            judged = _Judged(verified, _spans(verified), self._may_run, self._uses)
        except (IdentityError, Refused) as error:
            return _not_permitted(error.message, error.fix)
        self._remember(mandate, judged)
        return judged

    def _may_run(self, submitter: Name, capability: str) -> Failure | None:
        asked = submitter.role, capability
        allowed = self._verdicts.get(asked)
        if allowed is None:
            if len(self._verdicts) >= REMEMBERED_MAX:
                self._verdicts.clear()
            allowed = may_run(self._rules, *asked, self._labels)
            self._verdicts[asked] = allowed
        if allowed:
            return None
        return _not_permitted(
            f"{submitter.short} may not run {capability} on node {self._me}",
            "demand the labels of a node whose `policy` allows it, or ask an admin to allow it here",
        )

    def _remember(self, mandate: Mandate, judged: _Judged) -> None:
        if mandate not in self._known:
            self._known_bytes += len(mandate.signed)
        self._known[mandate] = judged
        while len(self._known) > REMEMBERED_MAX or self._known_bytes > REMEMBERED_BYTES_MAX:
            oldest, _ = self._known.popitem(last=False)
            self._known_bytes -= len(oldest.signed)


class _Span(NamedTuple):
    """The tasks `begin` to `end` (not included) of a batch: one group."""

    begin: int
    end: int
    demand: Demand
    digests: bytes


class _Judged:
    """A mandate that counts, and what was found of the attempts under it."""

    __slots__ = (
        "_begins",
        "_demand",
        "_may_run",
        "_part",
        "_parts_of",
        "_refusal",
        "_refusal_of_part",
        "_span",
        "_spans",
        "_submitter",
        "_uses",
        "audience",
        "expires_at",
    )

    def __init__(
        self,
        verified: Verified,
        spans: list[_Span],
        may_run: Callable[[Name, str], Failure | None],
        uses: Uses,
    ) -> None:
        self._uses = uses
        self.audience = verified.audience
        self.expires_at = verified.expires_at
        self._submitter = verified.submitter
        self._may_run = may_run
        self._spans = spans
        self._begins = [span.begin for span in spans]
        self._parts_of: set[Demand] = set()
        #: of the attempt before: most are like it
        self._span = spans[0]
        self._demand: Demand | None = None
        self._refusal: Failure | None = None
        self._part: Demand | None = None
        self._refusal_of_part: Failure | None = None

    def refusal(self, attempt: Attempt) -> Failure | None:
        no, _, demand, phase, call, _, _, depth, _, _, first, _ = attempt
        if depth:
            if demand is not self._part:
                self._part, self._refusal_of_part = demand, self._judge_part(demand)
            return self._refusal_of_part
        if demand is not self._demand:
            self._demand = demand
            self._refusal = self._may_run(self._submitter, demand.capability)
        if self._refusal is not None:
            return self._refusal
        at = no - first
        span = self._span
        if not span.begin <= at < span.end:
            span = self._span = self._spans[max(0, bisect_right(self._begins, at) - 1)]
        offset = (at - span.begin) * DIGEST_BYTES
        if (
            phase is not Phase.RUN
            or not span.begin <= at < span.end
            or (span.demand is not demand and span.demand != demand)
            or span.digests[offset : offset + DIGEST_BYTES] != _digest(call)
        ):
            return _OTHER_CALL
        return None

    def _judge_part(self, demand: Demand) -> Failure | None:
        refusal = self._may_run(self._submitter, demand.capability)
        if refusal is not None:
            return refusal
        if not self._parts_of:
            self._parts_of = {_as_part(span.demand) for span in self._spans}
        if _as_part(demand) in self._parts_of or self._may_come_to(demand):
            return None
        return _OTHER_CALL

    def _may_come_to(self, demand: Demand) -> bool:
        """Whether one of the signed calls may ask for this: without secrets, within its allowance."""
        return not demand.secrets and any(
            demand.capability in reached(self._uses, signed.capability)
            and (not signed.allowance_uusd or 0 < demand.allowance_uusd <= signed.allowance_uusd)
            for signed in (span.demand for span in self._spans)
        )


def _spans(verified: Verified) -> list[_Span]:
    """Raises Refused."""
    spans: list[_Span] = []
    begin = 0
    for signed, joined in verified.groups:
        demand = _demand(signed)
        end = begin + len(joined) // DIGEST_BYTES
        spans.append(_Span(begin, end, demand, joined))
        begin = end
    return spans


def _demand(signed: bytes) -> Demand:
    """Raises Refused."""
    try:
        return demand_from_bytes(signed)
    except Invalid:
        raise _refused("one of its demands cannot be read") from None


def _as_part(demand: Demand) -> Demand:
    """Shards, splits and merges ask the same as what they grew from, but for these."""
    return replace(demand, durability=Durability.VOLATILE, shards=0)


def _digest(call: Call) -> bytes:
    if not call.inputs:
        return digest_of_args(call.args)
    pb = task_pb2.Call()
    call_to_pb(call, pb)
    return digest(pb)


def _refused(why: str, code: str = "mandate_invalid") -> Refused:
    return Refused(
        f"the mandate does not count here: {why}",
        "submit again, as yourself and to this node: the SDK and `nova run` sign what they submit",
        code,
    )


def _not_permitted(message: str, fix: str) -> Failure:
    return Failure("not_permitted", message, fix)


_UNSIGNED = _not_permitted(
    "no submitter signed this task", "submit it with an identity of this mesh: `nova login`"
)
_OTHER_CALL = _not_permitted(
    "its submitter signed other calls than this one",
    "submit it again; if that recurs, do not trust its owner: `nova-node members`",
)
