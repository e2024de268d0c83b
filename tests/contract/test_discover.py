"""Model servers on this machine are found, and others are left alone."""

from __future__ import annotations

import socket

import pytest
from support.fake_provider import FakeProvider

from nova_node.capability import NotOffered, given_settings
from nova_node.models import offer
from nova_node.models.discover import SERVERS, Server, discover
from nova_node.models.installed import BAD_RELEASES, missing


def at(provider: FakeProvider, like: str) -> Server:
    """The server of this name, on the provider's port."""
    (server,) = (each for each in SERVERS if each.name == like)
    return server._replace(port=provider.port)


def test_finds_models_and_what_is_told_of_them() -> None:
    with FakeProvider(["one", "nomic-embed"], owned_by="vllm", context=8192) as provider:
        one, vectors = discover([at(provider, "vLLM")])
    assert (one.name, one.provider, one.local, one.context_tokens) == ("one", "openai", True, 8192)
    assert one.url == provider.url
    assert (one.kind, vectors.kind) == (None, "embed")


def test_another_program_on_a_usual_port_is_left_alone() -> None:
    with FakeProvider(owned_by="somebody") as provider:
        assert discover([at(provider, "vLLM"), at(provider, "llama.cpp")]) == []
        assert [spec.name for spec in discover([at(provider, "Ollama")])] == ["fake"]


def test_nobody_and_somebody_who_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert discover([SERVERS[0]._replace(port=port)]) == []
    assert discover([SERVERS[0]._replace(port=port)]) == []


def test_a_server_with_odd_names_is_taken_for_none() -> None:
    with FakeProvider(["", "x" * 500, "new\nline"]) as provider:
        assert discover([at(provider, "Ollama")]) == []


@pytest.fixture
def anew() -> object:
    offer._here.cache_clear()  # pyright: ignore[reportPrivateUsage]
    yield
    offer._here.cache_clear()  # pyright: ignore[reportPrivateUsage]


def test_the_labels_of_a_node_name_its_models(anew: object) -> None:
    uses = ["lab/big:7b,url=http://127.0.0.1:1/v1", "far,url=https://models.example/v1"]
    with given_settings({"models.use": uses, "models.discover": False}):
        labels = offer.offer_chat().labels
        with pytest.raises(NotOffered, match=r"^$"):
            offer.offer_embed()
    assert labels == {
        "model.lab-big-7b": "yes",
        "model.far": "yes",
        "models.local": "yes",
        "models.cloud": "yes",
    }


def test_a_node_without_models_offers_none_in_silence(anew: object) -> None:
    with (
        given_settings({"models.use": [], "models.discover": False}),
        pytest.raises(NotOffered, match=r"^$"),
    ):
        offer.offer_chat()


def test_a_stolen_release_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing() is None
    for release in BAD_RELEASES:

        def version(name: str, release: str = release) -> str:
            return release

        monkeypatch.setattr("nova_node.models.installed.version", version)
        found = missing()
        assert found is not None
        assert release in found[0]
