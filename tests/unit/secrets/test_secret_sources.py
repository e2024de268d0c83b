"""The setting `secret_sources`, and variables that hold secrets beside it."""

import pytest

from nova_node import config
from nova_node.core.errors import Invalid

NO_FILE = {"NOVA_CONFIG": "/dev/null"}


def sources(text: str) -> tuple[str, ...]:
    loaded = config.load({}, {**NO_FILE, "NOVA_SECRET_SOURCES": text})
    return loaded.config.work.secret_sources


def test_none_by_default() -> None:
    assert config.load({}, NO_FILE).config.work.secret_sources == ()


def test_patterns() -> None:
    text = "env:NOVA_SECRET_*, file:/etc/nova/*,keyring:*"
    assert sources(text) == ("env:NOVA_SECRET_*", "file:/etc/nova/*", "keyring:*")


@pytest.mark.parametrize("text", ["*", "secret:db", "file:relative/*", "env:", "vault:x", "env"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(Invalid, match="is no pattern such as"):
        sources(text)


def test_variables_with_secrets_are_nobody_elses() -> None:
    loaded = config.load({}, {**NO_FILE, "NOVA_SECRET_DB": "x", "NOVA_ELSE": "y"})
    assert loaded.warnings == ("NOVA_ELSE is not a setting of nova-node, ignored",)
