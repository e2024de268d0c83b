"""Which models a prompt may try, and in what order."""

from __future__ import annotations

import pytest
from nova_client import NotFound
from nova_client.models import Needs, choose, offers, price_uusd
from nova_proto.model_names import model_label
from support.fake_mesh import model, node

DEAR = model("cloud/dear", local=False, input_uusd_per_mtok=9_000, output_uusd_per_mtok=9_000)
CHEAP = model("cloud/cheap", local=False, input_uusd_per_mtok=10, output_uusd_per_mtok=10)
UNKNOWN = model("cloud/new", local=False, input_uusd_per_mtok=None, tokens_per_s=0.0)
HOME = model("home/slow", tokens_per_s=2.0)
EYES = model("cloud/eyes", local=False, takes_images=True, tokens_per_s=500.0)
EMBED = model("home/embed", kind="embed")

MESH = offers([node("desk", HOME, EMBED), node("attic", DEAR, CHEAP, UNKNOWN, EYES)])


def test_cheapest_puts_unknown_prices_last_and_local_models_first_of_equals() -> None:
    assert choose(MESH).models == (
        "home/slow",
        "cloud/eyes",
        "cloud/cheap",
        "cloud/dear",
        "cloud/new",
    )
    assert choose(MESH, "cheapest") == choose(MESH)


def test_fastest_puts_what_was_never_measured_last() -> None:
    names = choose(MESH, "fastest").models
    assert (names[0], names[-2:]) == ("cloud/eyes", ("home/slow", "cloud/new"))


def test_a_name_several_and_one_without_its_provider() -> None:
    assert choose(MESH, "cloud/dear").models == ("cloud/dear",)
    assert choose(MESH, "dear, cloud/cheap,absent").models == ("cloud/dear", "cloud/cheap")
    assert choose(MESH, "dear").prefers == (("model.cloud-dear", "yes"),)


def test_needs_leave_out_what_does_not_fit() -> None:
    local = choose(MESH, "", Needs(local_only=True))
    assert (local.models, local.labels) == (("home/slow",), {"models.local": "yes"})
    assert choose(MESH, "", Needs("embed")).models == ("home/embed",)


def test_models_that_say_they_can_go_before_those_that_do_not_say() -> None:
    assert choose(MESH, "", Needs(images=True)).models == ("cloud/eyes",)
    assert choose(MESH, "cloud/dear", Needs(images=True)).models == ("cloud/dear",)
    blind = offers([node("desk", HOME)])
    assert choose(blind, "", Needs(images=True)).models == ("home/slow",)


@pytest.mark.parametrize(
    ("want", "needs", "says"),
    [
        ("cloud/deer", Needs(), "did you mean cloud/dear"),
        ("cloud/dear", Needs(local_only=True), "that is local is called cloud/dear"),
        ("", Needs("embed"), "no embed model is here"),
    ],
)
def test_nothing_that_fits_says_why(want: str, needs: Needs, says: str) -> None:
    mesh = [offer for offer in MESH if offer.model.kind == "chat"]
    with pytest.raises(NotFound) as caught:
        choose(mesh, want, needs)
    assert says in f"{caught.value.message} {caught.value.fix}"


def test_a_mesh_without_models_says_how_to_get_one() -> None:
    with pytest.raises(NotFound, match="no node of the mesh has a model"):
        choose((), "anything")


def test_nodes_that_take_no_work_offer_nothing() -> None:
    gone = [
        node("a", HOME, state="suspect"),
        node("b", HOME, draining=True),
        node("c", HOME, skew="another version"),
    ]
    assert offers(gone) == ()


def test_an_unknown_price_is_unknown() -> None:
    assert price_uusd(UNKNOWN, 1, 1) is None
    assert price_uusd(CHEAP, 1_000_000, 500_000) == 15


def test_labels_of_models_are_labels() -> None:
    long = model_label("provider/" + "x" * 100)
    assert model_label("ollama/llama3:8b") == "model.ollama-llama3-8b"
    assert len(long) == 63
    assert long != model_label("provider/" + "x" * 101)
