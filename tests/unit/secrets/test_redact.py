"""Values out of text and bytes."""

import base64
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_node.secrets.redact import Redactor, Revealed

VALUE = 'pa$$ "w0rd" /+?ключ\n\\end'
NOTE = "[secret db]"
PLAIN = Redactor([("db", "correct-horse")])


@pytest.fixture(scope="module")
def redactor() -> Redactor:
    return Redactor([("db", VALUE)])


@pytest.mark.parametrize(
    "shown",
    [
        VALUE,
        json.dumps({"a": VALUE}),
        json.dumps({"a": VALUE}, ensure_ascii=False),
        json.dumps({"body": json.dumps({"a": VALUE})}),
        repr(KeyError(VALUE)),
        urllib.parse.quote(VALUE),
        urllib.parse.quote(VALUE, safe="").lower(),
        urllib.parse.urlencode({"q": VALUE}),
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        base64.b64encode(VALUE.encode()).decode(),
        base64.urlsafe_b64encode(b"user:" + VALUE.encode()).decode(),
        base64.b64encode(b"me:" + VALUE.encode() + b"@host").decode(),
        base64.b64encode(b"a:" + VALUE.encode() + b"\n").decode(),
    ],
)
def test_each_form_is_replaced(redactor: Redactor, shown: str) -> None:
    clean = redactor.text(f"before {shown} after")
    assert NOTE in clean
    assert clean.startswith("before ")
    assert clean.endswith(" after")
    left = clean.replace(NOTE, "")
    assert "w0rd" not in left
    assert VALUE.encode().hex()[10:20] not in left.lower()
    for at in range(3):
        assert base64.b64encode(bytes(at) + VALUE.encode()).decode()[4:12] not in left


def test_lines_of_a_value_are_replaced_by_themselves() -> None:
    redactor = Redactor([("key", "-----BEGIN-----\nMIIBVgIBADANBg\nx\n-----END-----")])
    assert redactor.text("> MIIBVgIBADANBg <") == "> [secret key] <"


def test_the_longer_of_two_values_goes_first() -> None:
    redactor = Redactor([("short", "abcd"), ("long", "abcdefgh")])
    assert redactor.text("abcdefgh abcd") == "[secret long] [secret short]"
    ready, held = redactor.pour(b"abcd")
    assert (ready, redactor.pour(held + b"efgh!")) == (b"", (b"[secret long]!", b""))


@pytest.mark.parametrize(
    ("data", "clean"),
    [
        (b'{"a":"correct-horse"}', {"a": NOTE}),
        (b'{"correct-horse":[1,2.5,null]}', {NOTE: [1, 2.5, None]}),
        (b'["x","y"]', ["x", "y"]),
    ],
)
def test_json_stays_json(data: bytes, clean: object) -> None:
    assert json.loads(PLAIN.json(data)) == clean


def test_numbers_that_hold_a_value_become_text() -> None:
    redactor = Redactor([("pin", "12345")])
    clean = json.loads(redactor.json(b'{"a":12345,"b":9912345.5,"c":1234,"d":1.5}'))
    assert clean == {"a": "[secret pin]", "b": "99[secret pin].5", "c": 1234, "d": 1.5}


def test_a_value_over_several_texts_makes_the_whole_one_text() -> None:
    redactor = Redactor([("odd", '1","2')])
    assert json.loads(redactor.json(b'["1","2"]')) == '["[secret odd]"]'


def test_json_without_a_value_is_not_touched() -> None:
    data = b'{"b": 1e5,\n"a":"\\u00e9"}'
    assert PLAIN.json(data) is data


@given(st.lists(st.sampled_from(["correct-horse", "correct", "-horse", "c", "x", "\n"])), st.data())
def test_pieces_give_what_the_whole_gives(words: list[str], data: st.DataObject) -> None:
    whole = "".join(words).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)))))
    told, held = b"", b""
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        ready, held = PLAIN.pour(held + whole[start:end])
        told += ready
        assert len(held) < 100
    assert told + PLAIN.data(held) == PLAIN.data(whole)


def test_only_what_may_become_a_value_is_held_back() -> None:
    assert PLAIN.pour(b"progress: 10 %") == (b"progress: 10 %", b"")
    assert PLAIN.pour(b"it is correct-h") == (b"it is ", b"correct-h")


def test_a_long_value_and_much_output_are_no_burden() -> None:
    redactor = Redactor([("key", "-" * 64 + "k" * 16_000)])
    ready, held = redactor.pour(b"-" * 65_536)
    assert (len(ready) + len(held), held[:1]) == (65_536, b"-")


def test_values_do_not_show_by_accident() -> None:
    assert "correct-horse" not in f"{Revealed({'db': 'correct-horse'})}"


def test_nothing_to_redact() -> None:
    assert Redactor([]).pour(b"abc") == (b"abc", b"")
