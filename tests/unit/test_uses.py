"""Which capabilities a capability may ask for."""

import pytest

from nova_node.core.errors import Invalid
from nova_node.core.policy import USES, reached, with_uses


def test_what_is_told_is_added_to_what_is_built_in() -> None:
    uses = with_uses(["a.b c.d e.f", "a.b g.h"])
    assert uses["a.b"] == {"c.d", "e.f", "g.h"}
    assert {name: asked for name, asked in uses.items() if name != "a.b"} == USES


@pytest.mark.parametrize("text", ["", "a.b", "a.b *", "A.b c.d", "a.b c", "a.b c.d;e.f"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="asks for"):
        with_uses([text])


def test_what_is_reached_is_found_through_others_and_in_circles() -> None:
    uses = with_uses(["x.a x.b", "x.b x.c x.a", "x.d x.e"])
    assert reached(uses, "x.a") == {"x.a", "x.b", "x.c"}
    assert reached(uses, "x.c") == frozenset()
