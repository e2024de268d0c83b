"""Which model servers of this machine answer now, looked at again and again while a node runs.

Rules: a look costs a connection that is closed at once. Who listens is asked for its models every second
look, or less and less often if it is no model server. One that refuses three looks in a row is gone.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from nova_node.models.discover import HOST, NEARBY, SERVERS, Busy, Server, ask
from nova_node.models.spec import Spec, on_this_machine, parse_spec

MODULES = frozenset({"nova_node.capabilities.llm"})
"""That offer something only where there are models."""

CONNECT_S = 0.3
MISSES_MAX = 3
ASK_EVERY, ASK_EVERY_MAX = 2, 120
"""Looks."""
_SHORT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

State = tuple[tuple[Spec, ...], frozenset[str]]
NOTHING: State = ((), frozenset())


class Nearby:
    """`uses` and `discover` are the settings `models.use` and `models.discover`."""

    def __init__(
        self, uses: Iterable[str], discover: bool, servers: Sequence[Server] = SERVERS
    ) -> None:
        specs = [parse_spec(text) for text in uses]
        urls = dict.fromkeys(spec.url for spec in specs if spec.url and on_this_machine(spec.url))
        self._named = {url: _Door(*_where(url)) for url in urls}
        self._usual = [_Usual(server) for server in servers] if discover else []
        #: as it was told last
        self.state = NOTHING

    @property
    def is_idle(self) -> bool:
        """There is nothing to look at."""
        return not self._named and not self._usual

    @property
    def told(self) -> dict[str, dict[str, object]]:
        """The setting by which whoever describes this node knows."""
        found, silent = self.state
        return {NEARBY: {"found": [list(spec) for spec in found], "silent": sorted(silent)}}

    async def look(self) -> bool:
        """Whether something is another than at the last look."""
        for door in (*self._named.values(), *self._usual):
            await door.look()
        found = tuple(spec for usual in self._usual for spec in usual.specs)
        silent = frozenset(url for url, door in self._named.items() if door.is_gone)
        before, self.state = self.state, (found, silent)
        return before != self.state


class _Door:
    """Where somebody may listen."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self.misses = 0

    @property
    def is_gone(self) -> bool:
        return self.misses >= MISSES_MAX

    async def look(self) -> None:
        listens = await _listens(self._host, self._port)
        if listens is not None:
            self.misses = 0 if listens else self.misses + 1


class _Usual(_Door):
    """Where a model server usually listens; what it offers is asked of it."""

    def __init__(self, server: Server) -> None:
        super().__init__(HOST, server.port)
        self._server = server
        self.specs: tuple[Spec, ...] = ()
        self._every = ASK_EVERY
        #: looks until it is asked
        self._left = 0

    async def look(self) -> None:
        await super().look()
        if self.misses:
            self._left, self._every = 0, ASK_EVERY
            if self.is_gone:
                self.specs = ()
            return
        self._left -= 1
        if self._left <= 0:
            await self._ask()

    async def _ask(self) -> None:
        try:
            found = await asyncio.to_thread(ask, self._server)
        except Busy:
            return
        self.specs = tuple(found or ())
        self._every = ASK_EVERY if found is not None else min(self._every * 2, ASK_EVERY_MAX)
        self._left = self._every


async def _listens(host: str, port: int) -> bool | None:
    """None: nobody knows."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_S):
            transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
    except TimeoutError:
        return None
    except OSError as error:
        return None if error.errno in _SHORT_OF else False
    transport.abort()
    return True


def _where(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or HOST, parts.port or (443 if parts.scheme == "https" else 80)
