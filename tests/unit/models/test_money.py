"""What one prompt may cost, and which models are left alone meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_node.models.allowance import fit, usd, worst_input_tokens
from nova_node.models.catalogue import Entry
from nova_node.models.cooldowns import LONGEST_S, Cooldowns
from nova_node.models.failing import (
    RETRY_AFTER_MAX_S,
    ModelFailed,
    of_status,
    retry_after_s,
    scrub,
)
from nova_node.models.measured import TELL_EVERY_S, Measured, Row, heard_by
from nova_node.models.prices import FREE, UNKNOWN, Prices, flat
from nova_node.models.spec import parse_spec


def entry(prices: Prices) -> Entry:
    return Entry(parse_spec("some"), "chat", prices)


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(1, 10**5), st.integers(0, 10**7))
def test_what_fits_costs_no_more_than_is_left(
    price_in: int, price_out: int, max_tokens: int, left: int
) -> None:
    try:
        tokens, worst = fit(entry(flat(price_in, price_out)), 100, max_tokens, left)
    except ModelFailed:
        tokens, worst = max_tokens, 0
    assert worst is not None
    assert worst <= left
    assert max_tokens / 4 <= tokens <= max_tokens


def test_free_fits_always_and_unknown_never() -> None:
    assert fit(entry(FREE), 10**6, 10**6, 1) == (10**6, 0)
    with pytest.raises(ModelFailed) as caught:
        fit(entry(UNKNOWN), 1, 1, 10**12)
    assert caught.value.code == "model_price_unknown"


def test_the_worst_case_is_above_what_was_counted() -> None:
    assert worst_input_tokens(100) > 115
    assert worst_input_tokens(100, images=2) > worst_input_tokens(100) + 2000


def test_money_is_written_short() -> None:
    assert [usd(n) for n in (0, 1, 1_500_000, 2_000_000)] == ["$0", "$0.000001", "$1.5", "$2"]


def test_a_model_cools_as_long_as_it_asked_or_twice_as_long_each_time() -> None:
    cooldowns = Cooldowns()
    asked = of_status("m", 429, "slow", 30)
    cooldowns.after("a", asked, 100)
    assert cooldowns.left_s("a", 110) == 20
    assert cooldowns.left_s("a", 130) == 0
    assert cooldowns.left_s("b", 110) == 0
    plain = of_status("m", 503, "busy", 0)
    waits: list[float] = []
    for _ in range(10):
        cooldowns.after("b", plain, 0)
        waits.append(cooldowns.left_s("b", 0))
    assert waits[:4] == [1, 2, 4, 8]
    assert waits[-1] == LONGEST_S
    assert cooldowns.failure("b").code == "model_overloaded"
    cooldowns.well("b")
    assert cooldowns.left_s("b", 0) == 0


def test_a_request_that_is_wrong_cools_nothing() -> None:
    cooldowns = Cooldowns()
    cooldowns.after("a", of_status("m", 400, "what?", 0), 0)
    assert cooldowns.left_s("a", 0) == 0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "1e9"}, RETRY_AFTER_MAX_S),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "soon"}, 0),
    ],
)
def test_what_a_provider_asks_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_s(headers, datetime(2026, 3, 1, 12, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    "said",
    [
        "bad key top-secret-1 given",
        "header Bearer abcdefgh",
        "https://models.example/v1?key=abcdefgh&alt=sse",
        "{'api_key': 'abcdefgh'}",
        "sk-proj-abcdefgh12345678 is not known",
        "key AIzaabcdefgh1234567890 is not known",
    ],
)
def test_keys_are_scrubbed(said: str) -> None:
    clean = scrub(said, ("top-secret-1",))
    assert "top-secret-1" not in clean
    assert "abcdefgh" not in clean


def test_keys_of_the_environment_are_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "plain-looking-words")
    assert "plain-looking-words" not in scrub("no plain-looking-words here", ())
    assert scrub("a\n b", ()) == "a b"
    assert len(scrub("x" * 10_000, ())) < 500


def test_measures_run_on_and_are_told_when_they_moved() -> None:
    told: list[Row] = []
    measured = Measured()
    with heard_by(told.extend):
        measured.note("m", 0.1, 100, 1.1, now=0)
        measured.note("m", 0.1, 100, 1.1, now=TELL_EVERY_S * 2)
        measured.note("m", 1.0, 100, 2.0, now=TELL_EVERY_S * 3)
        measured.note("m", 9.0, 100, 9.9, now=TELL_EVERY_S * 3 + 1)
    assert [(name, round(ttft)) for name, ttft, _ in told] == [("m", 100), ("m", 280)]
    assert measured.of("m").answers == 4
    assert measured.of("m").output_tokens == 100
    assert measured.of("other").answers == 0


def test_a_short_answer_says_nothing_of_a_rate() -> None:
    measured = Measured()
    measured.note("m", 0.1, 1, 0.1001, now=0)
    assert measured.of("m").tokens_per_s == 0
    assert measured.of("m").ttft_ms == 100
