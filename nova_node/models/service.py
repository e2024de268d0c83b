"""The models of this process, made from the node's settings when first asked for: one for each event loop."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from nova_node.capability import setting
from nova_node.models.asking import Asker
from nova_node.models.catalogue import Entry, matching, models_here
from nova_node.models.gateway import Gateway
from nova_node.models.spec import Kind

LOOK_AGAIN_S = 2.0
SETTINGS = ("models.use", "models.discover", "models.timeout_s")


class Service:
    def __init__(self) -> None:
        self._settings = {key: setting(key) for key in SETTINGS}
        self.asker = Asker(Gateway(), self._settings["models.timeout_s"])
        self._here: tuple[Entry, ...] = ()
        self._looked_at = 0.0
        self._looking = asyncio.Lock()

    async def here(self, names: Sequence[str] = (), kind: Kind = "chat") -> tuple[Entry, ...]:
        """The models of this node; looks again, now and then, when one that is named is missing."""
        async with self._looking:
            now = asyncio.get_running_loop().time()
            known = self._here and matching(self._here, names, kind)
            if not known and (not self._looked_at or now - self._looked_at > LOOK_AGAIN_S):
                self._here = await asyncio.to_thread(models_here, self._settings)
                self._looked_at = now
        return self._here

    async def embedders(self, local_only: bool) -> Sequence[Entry]:
        """What tells of a text whether it means the same as another. Raises ModelFailed."""
        names = [setting("models.cache_embed")]
        return self.asker.choose(await self.here(names, "embed"), names, local_only, "embed")

    async def warm(self) -> None:
        """Loads what is slow to load; says so, the first time."""
        gateway = self.asker.gateway
        if not gateway.loaded:
            sys.stderr.write("starting the model host (once, some seconds)\n")
        await gateway.load()


_services: WeakKeyDictionary[asyncio.AbstractEventLoop, Service] = WeakKeyDictionary()


def service() -> Service:
    """Raises KeyError: whoever runs this process told it of no models."""
    loop = asyncio.get_running_loop()
    found = _services.get(loop)
    if found is None:
        found = _services[loop] = Service()
    return found
