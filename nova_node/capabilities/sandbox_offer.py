"""Whether this node can run foreign code, asked while it describes itself: the engine answers, the
image is there, and the limits were tried and bite. What is missing is said, and nothing is offered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from nova_node.capability import NotOffered, Offer, setting

CHECK_TIMEOUT_S = 10.0
PREFIX = "sandbox."

_found: Offer | NotOffered | None = None


def offer() -> Offer:
    """The same for every capability that needs a sandbox, so it is found out once a process."""
    global _found
    if _found is None:
        try:
            _found = _look()
        except NotOffered as error:
            _found = error
    if isinstance(_found, NotOffered):
        raise _found
    return _found


def _look() -> Offer:
    try:
        runtime = setting("sandbox.runtime")
    except KeyError:  # whoever runs this process knows of no sandbox
        raise NotOffered from None
    if runtime == "off":
        raise NotOffered
    labels = {PREFIX + "tier": setting("sandbox.tier"), PREFIX + "boundary": "container"}
    if runtime == "process":
        labels[PREFIX + "boundary"] = "none"
    else:
        _require_socket()
    from nova_sandbox import SandboxError

    try:
        images = _in_thread(_try).result(CHECK_TIMEOUT_S)
    except SandboxError as error:
        raise NotOffered(error.message, error.fix) from None
    except ImportError as error:
        raise NotOffered(str(error), "install nova-mesh with all that it needs") from None
    except TimeoutError:
        fix = "see whether dockerd hangs: nova-sandbox doctor"
        raise NotOffered(f"the engine took over {CHECK_TIMEOUT_S:g} s", fix) from None
    labels |= {f"{PREFIX}image.{name}": "yes" for name in images}
    return Offer(labels, local=runtime == "process" and not setting("sandbox.share_process"))


def _require_socket() -> None:
    """Most nodes without an engine have no socket either: they need not load Docker's library."""
    from nova_sandbox.engine import DEFAULT_URL

    url = setting("sandbox.engine") or os.environ.get("DOCKER_HOST") or DEFAULT_URL
    path = url.removeprefix("unix://")
    if url.startswith("unix://") and not os.path.exists(path):
        fix = "install Docker, then nova-sandbox image build --from-host; or sandbox.runtime=off"
        raise NotOffered(f"no container engine at {path}", fix)


def _in_thread(work: Callable[[], Coroutine[Any, Any, list[str]]]) -> Future[list[str]]:
    """A call to an engine that hangs takes its time; it is not waited for."""
    done: Future[list[str]] = Future()

    def main() -> None:
        try:
            done.set_result(asyncio.run(work()))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=main, daemon=True).start()
    return done


async def _try() -> list[str]:
    """The images that are here, of those that the config names; the first has to be."""
    from nova_sandbox import ImageMissing, Sandbox

    from nova_node.capabilities.sandbox_driver import MIB, NO_POOL, settings_of

    first, *others = setting("sandbox.images")
    async with Sandbox(settings_of(first, 256 * MIB, NO_POOL), self_test=True):
        pass
    if setting("sandbox.runtime") == "process":
        return []
    here = [first]
    for name in others:
        with contextlib.suppress(ImageMissing):
            async with Sandbox(settings_of(name, 256 * MIB, NO_POOL)):
                here.append(name)
    return here
