"""A token is read back whole, or not at all."""

from __future__ import annotations

import pytest
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.token import SECRET_BYTES, Token, new_secret, parse_token, secret_hash

TOKEN = Token(bytes(range(32)), "token-a", b"\xff" * SECRET_BYTES)


def test_a_token_is_read_as_it_is_written() -> None:
    assert parse_token(TOKEN.text) == TOKEN
    assert parse_token(f"  {TOKEN.text}\n") == TOKEN
    assert TOKEN.text.startswith("nova1.0001")


@pytest.mark.parametrize("length", range(len(TOKEN.text)))
def test_a_truncated_one_is_none(length: int) -> None:
    with pytest.raises(IdentityError) as refusal:
        parse_token(TOKEN.text[:length])
    assert refusal.value.code == "token_invalid"
    assert "nova-node token create" in refusal.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "",
        TOKEN.text + "A",
        TOKEN.text + ".more",
        TOKEN.text + " " * 1_000,
        TOKEN.text.replace("nova1", "nova2"),
        TOKEN.text.replace("nova1", "NOVA1"),
        TOKEN.text.replace(".0001", ".000A"),
        TOKEN.text.replace("token-a", "Token-a"),
        TOKEN.text.replace("token-a", "../a"),
        TOKEN.text.replace("token-a", "a" * 64),
        TOKEN.text.replace("token-a", "a\n"),
        TOKEN.text[:-1] + "9",  # bits that the secret has no room for
        TOKEN.text[:-1] + "\u0661",
        "x" * 10_000_000,
    ],
    ids=lambda t: ascii(t)[-20:],
)
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(IdentityError) as refusal:
        parse_token(text)
    assert refusal.value.code == "token_invalid"
    assert "____" not in refusal.value.message, "a secret may not reach a log"


def test_its_secret_stays_out_of_what_is_printed() -> None:
    secret = TOKEN.text.rpartition(".")[2]
    assert secret not in repr(TOKEN)
    assert secret not in f"{TOKEN}"
    assert TOKEN.secret.hex() not in repr(TOKEN)


def test_secrets_differ_and_are_kept_as_a_hash() -> None:
    one, other = new_secret(), new_secret()
    assert one != other
    assert len(one) == SECRET_BYTES
    assert secret_hash(one) != one
    assert secret_hash(one) == secret_hash(bytes(one))
