"""The one place that knows docker-py, which is loaded with the first call.

docker-py is not thread-safe and its reads may block, so: a few threads with a client each, a timeout
in every client, and a deadline of our own around every call. The event loop waits, it never blocks.
Only unix sockets: a container's stream is handed to the event loop as the socket it is.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from nova_sandbox.errors import EngineUnavailable, ImageMissing, SandboxError

T = TypeVar("T")

THREADS = 12
"""More than start containers at once, so that one is free to kill."""
TIDY_THREADS = 2
"""For what nobody waits for: else it would stand in the way of what somebody waits for."""
CALL_TIMEOUT_S = 20.0
PROBE_TIMEOUT_S = 5.0
TIDY_TIMEOUT_S = 60.0
IMPORT_TIMEOUT_S = 600.0
ANY_VERSION = "1.41"
DEFAULT_URL = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Found:
    """A container as the engine lists it."""

    name: str
    """Its id where the name is gone already: somebody is removing it."""
    id: str
    state: str
    image_id: str
    labels: dict[str, str]
    made: float
    """Unix time in seconds."""

    @classmethod
    def read(cls, listed: dict[str, Any]) -> Found:
        names: list[str] = listed.get("Names") or [listed["Id"]]
        return cls(
            name=names[0].lstrip("/"),
            id=listed["Id"],
            state=listed["State"],
            image_id=listed["ImageID"],
            labels=listed.get("Labels") or {},
            made=listed["Created"],
        )


class Engine:
    """`url` is `unix://PATH`; empty means $DOCKER_HOST, or the usual socket."""

    def __init__(self, url: str = "") -> None:
        self.url = url or os.environ.get("DOCKER_HOST") or DEFAULT_URL
        if not self.url.startswith("unix://"):
            raise EngineUnavailable(
                f"the engine's address {self.url} is not a unix socket",
                "give unix://PATH of an engine on this machine",
            )
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sandbox-engine")
        self._tidy_threads = ThreadPoolExecutor(TIDY_THREADS, thread_name_prefix="sandbox-tidy")
        self._local = threading.local()
        self._clients: list[Any] = []
        self._version = ""
        self._closed = False

    async def call(
        self, work: Callable[[Any], T], timeout_s: float = CALL_TIMEOUT_S, tidy: bool = False
    ) -> T:
        """Runs `work(client)` in a thread; with `tidy` in one that may come late.

        Raises EngineUnavailable when the engine is not there, fails, or does not answer in time;
        ImageMissing when it says so."""
        if self._closed:
            raise EngineUnavailable("the sandbox is closed")
        threads = self._tidy_threads if tidy else self._threads
        future = asyncio.get_running_loop().run_in_executor(threads, self._guarded, work)
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise EngineUnavailable(
                f"the engine at {self.url} did not answer within {timeout_s:g} s",
                "see whether dockerd hangs or is overloaded; restart it",
            ) from None

    def _guarded(self, work: Callable[[Any], T]) -> T:
        import docker.errors
        import requests

        try:
            self._knock()
            return work(self._client())
        except docker.errors.ImageNotFound as error:
            raise ImageMissing(
                f"no such image: {error.explanation}",
                "make one: nova-sandbox image build --from-host",
            ) from None
        except docker.errors.APIError as error:
            raise _failed(str(error.explanation or error), error.status_code) from None
        except (docker.errors.DockerException, requests.RequestException, OSError) as error:
            raise self._unreachable(error) from None

    def _knock(self) -> None:
        """Raises OSError when nobody listens; docker-py would leave a socket open then."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(CALL_TIMEOUT_S)
            door.connect(self.url.removeprefix("unix://"))

    def _client(self) -> Any:
        """This thread's own."""
        client = getattr(self._local, "client", None)
        if client is None:
            if not self._version:
                self._version = self._ask_version()
            client = self._local.client = self._connect(self._version)
            self._clients.append(client)
        return client

    def _ask_version(self) -> str:
        """Of the engine's interface. docker-py would ask by itself, and leave a socket open if the
        engine goes away meanwhile."""
        client = self._connect(ANY_VERSION)
        try:
            return str(client.version(api_version=False)["ApiVersion"])
        finally:
            client.close()

    def _connect(self, version: str) -> Any:
        import docker

        return docker.APIClient(base_url=self.url, timeout=int(CALL_TIMEOUT_S), version=version)

    def _unreachable(self, error: Exception) -> EngineUnavailable:
        path = self.url.removeprefix("unix://")
        if not os.path.exists(path):
            fix = "install Docker (apt-get install docker.io) and start it, or set DOCKER_HOST"
        elif not os.access(path, os.R_OK | os.W_OK):
            fix = "this user may not use it: add the user to the group docker, and log in again"
        else:
            fix = "start it: systemctl start docker"
        return EngineUnavailable(f"no engine at {self.url}: {_brief(error)}", fix)

    async def launch(self, name: str, config: dict[str, Any]) -> socket.socket:
        """Makes and starts a container; gives its stdin, stdout and stderr as one socket.

        Attached before it starts, so that nothing of the stream was read on the way. What fails
        half-way is left to the reaper, which knows the name."""

        def work(client: Any) -> socket.socket:
            client.create_container_from_config(config, name)
            wanted = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            stream = client.attach_socket(name, params=wanted)
            try:
                own = socket.socket(fileno=os.dup(stream.fileno()))
            finally:
                stream._response.close()
                stream.close()
            try:
                client.start(name)
            except BaseException:
                own.close()
                raise
            own.setblocking(False)
            return own

        return await self.call(work)

    async def remove(
        self, name: str, timeout_s: float = TIDY_TIMEOUT_S, tidy: bool = False
    ) -> None:
        """Kills and removes a container; one that is not there is fine."""

        def work(client: Any) -> None:
            import docker.errors

            for pause_s in (0.2, 1.0, None):
                try:
                    client.remove_container(name, force=True, v=True)
                    return
                except docker.errors.NotFound:
                    return
                except docker.errors.APIError as error:
                    if "already in progress" in str(error.explanation):
                        return
                    # An engine may trip over a container that ends in the same moment.
                    if pause_s is None or not tidy:
                        raise
                    time.sleep(pause_s)

        await self.call(work, timeout_s, tidy)

    async def ended(self, name: str, timeout_s: float) -> dict[str, Any]:
        """The `State` of a container, once it has ended."""

        def work(client: Any) -> dict[str, Any]:
            client.wait(name, timeout=timeout_s)
            return client.inspect_container(name)["State"]

        return await self.call(work, timeout_s)

    async def containers(self, label: str) -> list[Found]:
        """All with that label, running or not, without those that the engine is removing."""
        filters = {"label": label}
        listed = await self.call(lambda client: client.containers(all=True, filters=filters))
        return [Found.read(one) for one in listed if one["State"] != "removing"]

    async def info(self) -> dict[str, Any]:
        return await self.call(lambda client: client.info(), PROBE_TIMEOUT_S)

    async def image(self, reference: str) -> dict[str, Any]:
        """What is known of an image on this machine. Never fetches one. Raises ImageMissing."""
        return await self.call(lambda client: client.inspect_image(reference))

    async def images(self, label: str) -> list[dict[str, Any]]:
        return await self.call(lambda client: client.images(filters={"label": label}))

    async def import_image(self, archive: str, name: str, tag: str, changes: list[str]) -> None:
        """Makes an image of a tar archive, a path. `changes` are lines of a Dockerfile."""
        await self.call(
            lambda client: client.import_image_from_file(
                archive, repository=name, tag=tag, changes=changes
            ),
            IMPORT_TIMEOUT_S,
        )

    async def remove_image(self, reference: str) -> None:
        await self.call(lambda client: client.remove_image(reference))

    async def close(self) -> None:
        """Ends the threads, waiting for calls under way as long as their timeout lets them."""
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._tidy_threads.shutdown)
        await loop.run_in_executor(None, self._threads.shutdown)
        for client in self._clients:
            client.close()
        self._clients.clear()


def _failed(explanation: str, status: int | None) -> SandboxError:
    if "no space left" in explanation.lower():
        fix = "free disk space in the engine's data folder: docker system df"
    elif "unknown runtime" in explanation.lower() or "runtime" in explanation.lower():
        fix = "see what is missing: nova-sandbox doctor"
    else:
        fix = "see the engine's log: journalctl -u docker"
    return EngineUnavailable(f"the engine failed ({status}): {explanation[:500]}", fix)


def _brief(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return text[:300]
