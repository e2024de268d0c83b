"""Whatever a membership machine is told, it stays bounded, answers, and lets time pass."""

from __future__ import annotations

import math
import random

import pytest
from support.member_world import MESH, member

from nova_node.core.members import (
    LAN,
    AnswerProbe,
    AnswerSync,
    Fault,
    Introduced,
    LagMeasured,
    MemberSignal,
    MemberTick,
    ProbeAnswered,
    ProbeAsked,
    ProbeFailed,
    ProbeViaAsked,
    Refuse,
    SendProbe,
    SendProbeVia,
    SendSync,
    StreamBroken,
    SyncAnswered,
    SyncAsked,
    SyncFailed,
)
from nova_node.core.membership import Membership
from nova_node.core.model import Member, MemberState

ME = member(0)


def any_member(rng: random.Random) -> Member:
    true = member(rng.randrange(6), rng.choice((0, 1, 2, 3, 5000, 2**53)))
    address = f"a{rng.randrange(3)}:1" if rng.random() < 0.1 else true.address
    return true._replace(
        address=address, state=MemberState(rng.randrange(4)), digest_seq=rng.randrange(3)
    )


def any_signal(rng: random.Random, keys: list[int]) -> MemberSignal:
    gossip = tuple(any_member(rng) for _ in range(rng.randrange(5)))
    key = rng.choice(keys) if keys else 1
    peer = any_member(rng)
    address = f"x{rng.randrange(20)}:1"
    return rng.choice(
        (
            Introduced(address, pinned=rng.random() < 0.5),
            ProbeAsked("t", MESH, peer.node, rng.choice((ME.node, "x")), gossip),
            ProbeViaAsked("t", MESH, peer.node, any_member(rng).node, gossip, address, 0.5),
            ProbeAnswered(key, gossip, 0.01),
            ProbeFailed(key, rng.choice(list(Fault))),
            SyncAsked("t", rng.choice((MESH, "other")), peer, gossip),
            SyncAnswered(key, gossip),
            SyncFailed(key, rng.choice(("", "self", "id_taken", "other_mesh"))),
            StreamBroken(peer.node),
            LagMeasured(rng.random()),
        )
    )


def run(seed: int, steps: int) -> None:
    rng = random.Random(seed)
    now = 1000.0 + rng.random() * 1e9
    machine = Membership(ME, LAN, random.Random(seed), now)
    keys, at_once = list[int](), 0
    for _ in range(steps):
        signal: MemberSignal = MemberTick()
        if rng.random() < 0.6:
            at_once = at_once + 1 if machine.wake_at <= now else 0
            assert at_once < 5, f"time stands still, seed {seed}"
            now = max(now, machine.wake_at)
        else:
            now += rng.choice((0.0, 0.0, 0.01, 0.1, 1.0))
            signal = any_signal(rng, keys)
        answers = 0
        for effect in machine.handle(signal, now):
            match effect:
                case SendProbe(key=key, gossip=gossip) | SendProbeVia(key=key, gossip=gossip):
                    assert 0 < len(gossip) <= LAN.max_gossip
                    assert effect.timeout_s > 0
                    keys = [*keys[-50:], key]
                case SendSync(key=key):
                    keys = [*keys[-50:], key]
                case AnswerProbe() | AnswerSync() | Refuse():
                    answers += 1
                case _:
                    pass
        if isinstance(signal, ProbeAsked | SyncAsked):
            assert answers >= 1, f"no answer, seed {seed}"
        assert len(machine.members) <= 5
        assert machine.wake_at < math.inf
        assert machine.me.state is MemberState.ALIVE


@pytest.mark.parametrize("seed", range(20))
def test_any_signals(seed: int) -> None:
    run(seed, 600)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_many_more_signals(seed: int) -> None:
    run(seed, 3000)
