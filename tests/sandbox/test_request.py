"""Which requests are taken, and which limits may be given."""

from __future__ import annotations

import math
from typing import Any

import pytest
from nova_sandbox.events import Status
from nova_sandbox.limits import RANGES, Limits
from nova_sandbox.request import Request, refusal

LIMITS = Limits()


@pytest.mark.parametrize(
    "request_",
    [
        Request("print('a\0b')"),
        Request("\ufeffprint(1)"),
        Request("#" * 5_000_000),
        Request("'\ud800'"),
        Request("", args=("a\0",)),
        Request("", args=("\ud800",)),
        Request("", args=("a",) * 257),
        Request("", args=("a" * 70_000,)),
        Request("", stdin=bytes(LIMITS.stdin_bytes + 1)),
        Request("", language="perl"),  # pyright: ignore[reportArgumentType]
        Request("", timeout_s=0),
        Request("", timeout_s=-1),
        Request("", timeout_s=math.nan),
        Request("", timeout_s=math.inf),
    ],
    ids=lambda r: repr(r)[:60],
)
def test_refused_with_the_reason_and_the_fix(request_: Request) -> None:
    finished = refusal(request_, LIMITS)
    assert finished
    assert finished.status is Status.REFUSED
    assert finished.message
    assert finished.fix


@pytest.mark.parametrize(
    "request_",
    [
        Request(""),
        Request("print('größe')", ("ß",) * 256),
        Request("#" * LIMITS.code_bytes),
        Request("", stdin=bytes(LIMITS.stdin_bytes)),
        Request("echo", language="shell", timeout_s=0.05),
    ],
    ids=lambda r: repr(r)[:60],
)
def test_taken(request_: Request) -> None:
    assert refusal(request_, LIMITS) is None


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("side", [0, 1])
def test_a_limit_out_of_range_is_refused_by_name(name: str, side: int) -> None:
    value = RANGES[name][side] * (2 if side else 0.5) + (1 if side else -1)
    changes: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        Limits(**changes)


def test_a_run_may_ask_for_less_time_but_not_for_more() -> None:
    limits = Limits(timeout_s=10)
    assert limits.within(None) is limits
    assert limits.within(2).timeout_s == 2
    assert limits.within(1000).timeout_s == 10
