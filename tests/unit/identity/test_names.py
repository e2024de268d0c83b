"""Names are of one form, and everything else is refused with one error."""

from __future__ import annotations

import pytest
from nova_proto.identity.errors import IdentityError, shown
from nova_proto.identity.names import (
    ROLES,
    Name,
    check_id,
    check_mesh,
    parse_short,
    parse_uri,
    server_name,
)


@pytest.mark.parametrize("role", ROLES)
def test_a_name_is_read_as_it_is_written(role: str) -> None:
    name = Name("example", role, "node-a")
    assert name.uri == f"spiffe://example/{role}/node-a"
    assert parse_uri(name.uri) == name
    assert parse_short("example", name.short) == name


BAD_LABELS = [
    "",
    "A",
    "-a",
    "a-",
    "a.b",
    "a/b",
    "../a",
    "a b",
    "a\n",
    "\na",
    "a\0",
    "\x1b[31ma",
    "\u202ea",
    "é",
    "\u0661",
    "a" * 64,
    "a" * 1_000_000,
]


@pytest.mark.parametrize("text", BAD_LABELS, ids=lambda t: ascii(t)[:12])
def test_a_label_that_is_none(text: str) -> None:
    for check in (check_mesh, check_id):
        with pytest.raises(IdentityError) as refusal:
            check(text)
        assert refusal.value.code == "identity_malformed"
        assert refusal.value.fix
        assert refusal.value.message.isprintable()
        assert len(refusal.value.message) < 200


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://",
        "spiffe://example/worker",
        "spiffe://example/worker/a/b",
        "spiffe://example/worker/a/",
        "spiffe://example//a",
        "spiffe:///worker/a",
        "spiffe://example/root/a",
        "spiffe://example/Worker/a",
        "spiffe://Example/worker/a",
        "SPIFFE://example/worker/a",
        "https://example/worker/a",
        "spiffe://example:80/worker/a",
        "spiffe://me@example/worker/a",
        "spiffe://example/worker/a?b",
        "spiffe://example/worker/a#b",
        "spiffe://example/worker/%61",
        " spiffe://example/worker/a",
        "spiffe://example/worker/a\n",
        "spiffe://example/worker/" + "a" * 10_000,
    ],
    ids=lambda t: ascii(t)[:40],
)
def test_a_uri_that_is_no_name(text: str) -> None:
    with pytest.raises(IdentityError) as refusal:
        parse_uri(text)
    assert refusal.value.code == "identity_malformed"


@pytest.mark.parametrize("text", ["", "worker", "worker/", "/a", "worker/a/b", "root/a"])
def test_a_short_name_that_is_none(text: str) -> None:
    with pytest.raises(IdentityError):
        parse_short("example", text)


def test_a_server_is_named_after_node_and_mesh() -> None:
    assert server_name("example", "node-a") == "node-a.node.example.nova"
    with pytest.raises(IdentityError):
        server_name("example", "node-a.node.example.nova")


def test_text_from_outside_is_shown_short_and_harmless() -> None:
    text = shown("\x1b[2J\u202e" + "x" * 1_000_000)
    assert text.isprintable()
    assert text.isascii()
    assert len(text) < 120
