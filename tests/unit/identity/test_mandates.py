"""What is not signed by who may have it run is refused, by the owner and by who runs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nova_proto.identity import certificates
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.mandate import (
    LIFE_MAX_S,
    LIFE_S,
    SKEW_S,
    Signer,
    Verifier,
    audience_of,
    digest,
    digests,
)
from nova_proto.identity.names import Name
from nova_proto.v1 import identity_pb2, task_pb2, tasks_pb2
from support.forge import HOUR_S, MESH, NOW, PERSON, Mesh
from support.signed import OWNER, Signing, attempts_of, group, groups_of

from nova_node.core.errors import Invalid, Refused
from nova_node.core.model import Attempt, Call, Demand, Durability, Failure, Mandate, Phase
from nova_node.core.policy import parse_rule
from nova_node.identity.mandates import Mandates

Change = Callable[[identity_pb2.Manifest], None]


def admit(signing: Signing, request: object, me: str = OWNER, caller: Name = PERSON) -> Mandate:
    return signing.node(me).check_submit(request, groups_of(request), caller)  # type: ignore[arg-type]


def refusal(signing: Signing, request: object, me: str = OWNER, caller: Name = PERSON) -> Refused:
    with pytest.raises(Refused) as caught:
        admit(signing, request, me, caller)
    assert caught.value.fix
    return caught.value


def assert_runs_nowhere(
    signing: Signing, request: tasks_pb2.SubmitRequest, why: str, caller: Name = PERSON
) -> None:
    """An owner takes it from its caller's own hands; no node runs it, the owner neither."""
    submitter = admit(signing, request, caller=caller).submitter
    for node in (OWNER, "workernode"):
        attempts = attempts_of(request, submitter)
        reasons = signing.node(node).refusals(attempts)
        assert len(reasons) == len(attempts)
        assert all(why in failure.message for failure in reasons.values())


# ------------------------------------------------------------ the owner, at the submit


def test_a_signed_submit_is_let_in() -> None:
    signing = Signing()
    request = signing.submit(group(), group(2, "core.echo"))
    assert admit(signing, request) == Mandate("submitter/ada", request.mandate)


def test_it_counts_for_a_week_and_never_longer_than_the_certificate() -> None:
    signing = Signing()
    verifier = Verifier(MESH, [signing.mesh.root], {})
    verified = verifier.verify(signing.submit().mandate, NOW)
    assert verified.expires_at == NOW + HOUR_S < NOW + LIFE_S
    assert (verified.submitter, verified.audience) == (PERSON, OWNER)


def test_without_a_mandate_nothing_is_let_in() -> None:
    request = Signing().submit()
    request.mandate = b""
    assert refusal(Signing(), request).code == "mandate_invalid"


def test_nobody_hands_in_what_another_signed() -> None:
    signing = Signing()
    why = "submitter/ada signed it, not submitter/bob"
    assert_runs_nowhere(signing, signing.submit(), why, Name(MESH, "submitter", "bob"))


def test_the_wrong_audience() -> None:
    signing = Signing()
    said = refusal(signing, signing.submit(), me="othernode")
    assert "it is for node 'ownernode', this is othernode" in said.message


def test_a_mandate_replayed_for_another_request() -> None:
    signing = Signing()
    request = signing.submit()
    request.request_id = "r2"
    assert "another request" in refusal(signing, request).message


def test_a_mandate_that_is_not_fresh() -> None:
    signing = Signing()
    request = signing.submit()
    signing.now = NOW + SKEW_S
    admit(signing, request)
    signing.now = NOW + SKEW_S + 1
    assert refusal(signing, request).code == "mandate_expired"


def test_a_mandate_that_has_ended() -> None:
    signing = Signing()
    request = signing.submit()

    def end(manifest: identity_pb2.Manifest) -> None:
        manifest.expires_at = NOW + 10

    request.mandate = signing.manifest(request, end)
    admit(signing, request)
    signing.now = NOW + 10
    assert refusal(signing, request).code == "mandate_expired"


def test_a_mandate_from_the_future() -> None:
    signing = Signing()
    signing.now = NOW + SKEW_S + 1
    request = signing.submit()
    signing.now = NOW
    assert refusal(signing, request).code == "mandate_not_yet_valid"


def test_a_tampered_call() -> None:
    signing = Signing()
    request = signing.submit()
    request.groups[0].calls[1].args = b'{"n":9}'
    assert "other calls" in refusal(signing, request).message


def test_calls_in_another_order_one_more_or_one_less() -> None:
    signing = Signing()
    request = signing.submit(group(3))
    calls = [task_pb2.Call.FromString(c.SerializeToString()) for c in request.groups[0].calls]
    for other in (calls[::-1], calls[:2], [*calls, calls[0]]):
        del request.groups[0].calls[:]
        request.groups[0].calls.extend(other)
        assert refusal(signing, request).code == "mandate_invalid"


@pytest.mark.parametrize(
    "other",
    [
        task_pb2.Demand(capability="text.steal"),
        task_pb2.Demand(capability="text.count", priority=9),
        task_pb2.Demand(capability="text.count", labels={"zone": "elsewhere"}),
        task_pb2.Demand(capability="text.count", secrets={"key": "env:NOVA_SECRET_KEY"}),
    ],
)
def test_a_tampered_demand(other: task_pb2.Demand) -> None:
    signing = Signing()
    request = signing.submit()
    request.groups[0].demand.CopyFrom(other)
    assert "other calls" in refusal(signing, request).message


def test_a_signature_of_another_key() -> None:
    signing = Signing()
    request = signing.submit()
    stranger = Signer(certificates.new_key(), signing.chain)
    request.mandate = stranger.sign(request, OWNER, NOW)
    assert_runs_nowhere(signing, request, "its signature")


def test_another_manifest_under_the_same_signature() -> None:
    signing = Signing()
    first, second = signing.submit(), signing.submit(request_id="r2")
    mixed = identity_pb2.Mandate.FromString(first.mandate)
    mixed.manifest = identity_pb2.Mandate.FromString(second.mandate).manifest
    second.mandate = mixed.SerializeToString()
    assert_runs_nowhere(signing, second, "its signature")


def test_a_foreign_mesh() -> None:
    home = Signing()
    stranger = Signing(Mesh("elsewhere"), Name("elsewhere", "submitter", "ada"))
    assert "mesh" in refusal(home, stranger.submit(), caller=stranger.name).message


def test_a_mesh_of_the_same_name_with_another_root() -> None:
    signing, stranger = Signing(), Signing()
    assert_runs_nowhere(signing, stranger.submit(), "signed by nobody")


def test_a_revoked_submitter() -> None:
    signing = Signing()
    request = signing.submit()
    signing.revoked = {"submitter/ada": NOW + 1}
    assert_runs_nowhere(signing, request, "was revoked")
    signing.revoked = {"submitter/ada": NOW - 1}
    assert not signing.node().refusals(attempts_of(request))


def test_a_certificate_that_has_ended() -> None:
    signing = Signing()
    signing.now = NOW + HOUR_S - 10
    request = signing.submit()
    node = signing.node()
    node.check_submit(request, groups_of(request), PERSON)
    signing.now = NOW + HOUR_S + 1
    with pytest.raises(Refused) as caught:
        node.check_submit(request, groups_of(request), PERSON)
    assert caught.value.code == "mandate_expired"


def _life(seconds: float) -> Change:
    def change(manifest: identity_pb2.Manifest) -> None:
        manifest.expires_at = manifest.issued_at + seconds

    return change


def _groups(*groups: identity_pb2.ManifestGroup) -> Change:
    def change(manifest: identity_pb2.Manifest) -> None:
        del manifest.groups[:]
        manifest.groups.extend(groups)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _life(0),
        _life(-1),
        _life(LIFE_MAX_S + 1),
        _life(math.inf),
        _life(math.nan),
        _groups(),
        _groups(identity_pb2.ManifestGroup(calls=b"x" * 31)),
        _groups(identity_pb2.ManifestGroup(calls=b"")),
        _groups(identity_pb2.ManifestGroup(calls=b"x" * 32, demand=b"\xff")),
        _groups(identity_pb2.ManifestGroup(calls=b"x" * 32, demand=b"x" * (65 << 10))),
        _groups(*[identity_pb2.ManifestGroup(calls=b"x" * 32)] * 1025),
        _groups(identity_pb2.ManifestGroup(calls=b"x" * 32 * 100_001)),
    ],
)
def test_a_manifest_out_of_bounds(change: Change) -> None:
    signing = Signing()
    request = signing.submit()
    request.mandate = signing.manifest(request, change)
    assert refusal(signing, request).code == "mandate_invalid"


def test_a_mandate_that_is_too_large_is_not_even_read() -> None:
    with pytest.raises(IdentityError) as caught:
        audience_of(b"\0" * ((4 << 20) + 1))
    assert caught.value.code == "mandate_invalid"


# ------------------------------------------------------------ digests


def test_calls_that_differ_have_digests_that_differ() -> None:
    raw, files = task_pb2.Input(name="a", raw=b"x"), task_pb2.Input(name="a")
    files.files.extents.add(name="a", blob_id="x")
    calls = [
        task_pb2.Call(),
        task_pb2.Call(args=b"{}"),
        task_pb2.Call(inputs=[raw]),
        task_pb2.Call(args=b"{}", inputs=[raw]),
        task_pb2.Call(args=b"{}", inputs=[files]),
        task_pb2.Call(args=b"{}", inputs=[raw, raw]),
    ]
    assert len({digest(call) for call in calls}) == len(calls)
    assert digests(calls) == b"".join(map(digest, calls))
    assert digest(calls[1]) == sha256(b"\0{}").digest()
    sneaky = task_pb2.Call(args=b"\1" + calls[2].SerializeToString())
    assert digest(sneaky) not in {digest(call) for call in calls}


# ------------------------------------------------------------ who runs it


def reasons(failures: dict[int, Failure]) -> set[str]:
    assert all(f.code == "not_permitted" and f.fix and not f.retryable for f in failures.values())
    return {failure.message for failure in failures.values()}


def test_signed_attempts_run_whoever_sends_them() -> None:
    signing = Signing()
    attempts = attempts_of(signing.submit(group(50), group(2, "core.echo"), group(9)))
    worker = signing.node("workernode")
    assert worker.refusals(attempts) == {}
    assert worker.refusals(attempts[::-1]) == {}
    assert worker.refusals(attempts[51:52]) == {}


def test_one_call_of_many_that_was_changed_is_refused_alone() -> None:
    signing = Signing()
    attempts = attempts_of(signing.submit(group(50)))
    attempts[7] = attempts[7]._replace(call=Call(b'{"n":1000}'))
    attempts[9] = attempts[9]._replace(call=attempts[10].call)
    attempts[11] = attempts[11]._replace(no=attempts[12].no)
    assert set(signing.node("workernode").refusals(attempts)) == {7, 9, 11}


def test_numbers_beside_the_batch_and_phases_that_no_root_has() -> None:
    signing = Signing()
    (attempt,) = attempts_of(signing.submit(group(1)))
    worker = signing.node("workernode")
    for other in (
        attempt._replace(no=99),
        attempt._replace(no=101),
        attempt._replace(first=0),
        attempt._replace(phase=Phase.MERGE),
        attempt._replace(phase=Phase.SPLIT),
    ):
        assert reasons(worker.refusals([other])), other
        assert not worker.refusals([attempt])


def test_inputs_are_part_of_a_call() -> None:
    signing = Signing()
    given_group = group(1)
    given_group.calls[0].inputs.add(name="doc", raw=b"text")
    (attempt,) = attempts_of(signing.submit(given_group))
    worker = signing.node("workernode")
    assert not worker.refusals([attempt])
    (doc,) = attempt.call.inputs
    other = attempt._replace(call=Call(attempt.call.args, (doc._replace(raw=b"other"),)))
    assert worker.refusals([other, attempt]).keys() == {0}


def test_shards_are_of_the_signed_demand_only() -> None:
    signing = Signing()
    (root,) = attempts_of(signing.submit(group(1, labels={"zone": "lab"})))
    worker = signing.node("workernode")
    shard = root._replace(no=7000, depth=1, call=Call(b'{"part":1}'))
    demand = shard.demand
    for fine in (
        shard,
        shard._replace(phase=Phase.MERGE),
        shard._replace(phase=Phase.SPLIT, demand=replace(demand, shards=8)),
        shard._replace(demand=replace(demand, durability=Durability.VOLATILE), depth=3),
    ):
        assert not worker.refusals([fine]), fine
    for wrong in (
        replace(demand, capability="core.echo"),
        replace(demand, labels=()),
        replace(demand, secrets=(("key", "secret:other"),)),
        replace(demand, version="2"),
    ):
        assert reasons(worker.refusals([shard._replace(demand=wrong)])), wrong


def test_what_the_signed_capability_asks_for_runs_too_and_nothing_else() -> None:
    signing = Signing()
    (root,) = attempts_of(signing.submit(group(1, "plan.make", allowance_uusd=100)))
    uses = {"plan.make": frozenset({"llm.chat"}), "llm.chat": frozenset({"llm.embed"})}
    worker = signing.node("workernode", uses=uses)
    asked = root._replace(no=7000, depth=1, call=Call(b'{"any":1}'))

    def refused(attempt: Attempt, node: Mandates = worker) -> bool:
        return bool(node.refusals([attempt]))

    def of(capability: str, **demand: object) -> Attempt:
        wanted = Demand(capability, **{"allowance_uusd": 40, **demand})  # type: ignore[arg-type]
        return asked._replace(demand=wanted)

    fine = of("llm.chat", labels=(("zone", "lab"),), durability=Durability.VOLATILE)
    assert not refused(fine)
    assert not refused(of("llm.embed"))
    assert refused(fine._replace(depth=0))
    assert refused(of("core.echo"))
    assert refused(of("llm.chat", secrets=(("key", "secret:other"),)))
    assert refused(of("llm.chat", allowance_uusd=0)), "0 is no bound"
    assert refused(of("llm.chat", allowance_uusd=101))
    assert refused(fine, signing.node("workernode"))
    rules = [parse_rule("submitter plan.make")]
    assert refused(fine, signing.node("workernode", rules, uses=uses))


def test_what_nobody_signed_is_refused() -> None:
    signing = Signing()
    unsigned = attempts_of(signing.submit())[0]._replace(mandate=None)
    assert "no submitter" in reasons(signing.node().refusals([unsigned])).pop()


def test_the_policy_of_the_node_that_runs_it_counts() -> None:
    signing = Signing()
    attempts = attempts_of(signing.submit(group(1), group(1, "core.echo")))
    rules = [parse_rule("admin *"), parse_rule("submitter text.* zone=lab")]
    lab = signing.node("labnode", rules, (("zone", "lab"),))
    attic = signing.node("atticnode", rules, (("zone", "attic"),))
    assert lab.refusals(attempts).keys() == {1}
    assert attic.refusals(attempts).keys() == {0, 1}
    assert "submitter/ada may not run core.echo" in reasons(lab.refusals(attempts)).pop()


@pytest.mark.parametrize("role", ["worker", "observer"])
def test_the_wrong_role(role: str) -> None:
    name = Name(MESH, role, "mallory")
    signing = Signing(name=name)
    attempts = attempts_of(signing.submit(), name.short)
    assert len(signing.node("workernode").refusals(attempts)) == 3


def test_the_name_beside_the_mandate_is_the_signers() -> None:
    signing = Signing()
    attempts = attempts_of(signing.submit(), "admin/ada")
    assert "submitter/ada signed it" in reasons(signing.node().refusals(attempts)).pop()


def test_what_was_verified_is_forgotten_when_trust_changes_or_time_is_up() -> None:
    signing = Signing()
    attempts = attempts_of(signing.submit())
    worker = signing.node("workernode")
    assert not worker.refusals(attempts)
    signing.revoked = {"submitter/ada": NOW + 1}
    worker.trust(signing.trust())
    assert "revoked" in reasons(worker.refusals(attempts)).pop()
    signing.revoked = {}
    worker.trust(signing.trust())
    assert not worker.refusals(attempts)
    signing.now = NOW + HOUR_S
    assert len(worker.refusals(attempts)) == 3


def test_an_owner_sends_only_what_was_signed_for_it() -> None:
    signing = Signing()
    mandate = Mandate(PERSON.short, signing.submit().mandate)
    worker = signing.node("workernode")
    assert worker.is_for(mandate, OWNER)
    assert not worker.is_for(mandate, "thiefnode")
    with pytest.raises(Invalid):
        worker.is_for(Mandate(PERSON.short, b"\xff\xff"), OWNER)


# ------------------------------------------------------------ any bytes


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_bytes_that_were_cut_changed_or_made_up_end_in_a_typed_error(data: st.DataObject) -> None:
    good, spot = _MANDATE, data.draw(st.integers(0, 1 << 16)) % len(_MANDATE)
    kind = data.draw(st.sampled_from(["cut", "flip", "any"]))
    if kind == "cut":
        signed = good[:spot]
    elif kind == "flip":
        flipped = good[spot] ^ data.draw(st.integers(1, 255))
        signed = good[:spot] + bytes([flipped]) + good[spot + 1 :]
    else:
        signed = data.draw(st.binary(max_size=300))
    verifier = Verifier(MESH, [_GOOD.mesh.root], {})
    said: IdentityError | None = None
    try:
        verified = verifier.verify(signed, NOW)
    except IdentityError as error:
        said = error
    else:
        # a byte that protobuf or DER reads the same way
        assert verified == verifier.verify(good, NOW)
    assert said is None or said.code.startswith(("mandate_", "identity_"))
    assert said is None or said.message.isprintable()


_GOOD = Signing()
_MANDATE = _GOOD.submit().mandate
