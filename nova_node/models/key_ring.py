"""Keys of providers on the node that holds them: from what `models.use` refers to, to values.

Rule: a key goes from here to the node's host over their socket, and from there to its provider; it stands
in no argument, environment, card or log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, MutableMapping

from nova_node.core.errors import NovaError
from nova_node.models.spec import parse_spec
from nova_node.secrets.redact import Revealed
from nova_node.secrets.sources import Sources
from nova_node.secrets.store import Store

log = logging.getLogger("nova.models")


class KeyRing:
    """What `models.use` refers to. What an env: names is moved out of `environ`."""

    def __init__(
        self, uses: Iterable[str], store: Store, environ: MutableMapping[str, str]
    ) -> None:
        references = [parse_spec(text).key for text in uses]
        self._references = tuple(dict.fromkeys(filter(None, references)))
        self._store = store
        self._sources = Sources([r for r in self._references if not _is_stored(r)], environ)

    def reveal(self) -> Revealed:
        """Keys by reference; what cannot be found is said in the node's log. Blocks."""
        found = Revealed()
        for reference in self._references:
            try:
                value = self._read(reference)
            except NovaError as error:
                log.warning("no key %s for a model: %s", reference, error.message)
                continue
            if value:
                found[reference] = value
            else:
                log.warning("no key %s for a model: this node has none", reference)
        return found

    def _read(self, reference: str) -> str | None:
        kind, _, name = reference.partition(":")
        if kind == "secret":
            secret = self._store.get(name)
            return secret.value if secret else None
        return self._sources.read(kind, name)


def _is_stored(reference: str) -> bool:
    return reference.startswith("secret:")
