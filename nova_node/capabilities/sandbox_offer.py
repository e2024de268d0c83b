"""Whether this node can run foreign code, asked while it describes itself: the engine answers, the
image is there, and the limits were tried and bite. What is missing is said, and nothing is offered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from nova_node.capability import NotOffered, Offer, setting

CHECK_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 1.0
HUNG = "see whether dockerd hangs: nova-sandbox doctor"
PREFIX = "sandbox."
LABEL_CHARS = 63
LABELS_MAX = 32
Images = dict[str, dict[str, str]]
"""By name: labels that were given when it was made."""

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
        _require_engine()
    from nova_sandbox import SandboxError

    try:
        images = _in_thread(_try).result(CHECK_TIMEOUT_S)
    except SandboxError as error:
        raise NotOffered(error.message, error.fix) from None
    except ImportError as error:
        raise NotOffered(str(error), "install nova-mesh with all that it needs") from None
    except TimeoutError:
        raise NotOffered(f"the engine took over {CHECK_TIMEOUT_S:g} s", HUNG) from None
    labels |= _labels(images)
    local = runtime == "process" and not setting("sandbox.share_process")
    missing = [name for name in setting("sandbox.images") if name not in images]
    if runtime == "process" or not missing:
        return Offer(labels, local)
    fix = "make it with nova-sandbox image build, or take it out of sandbox.images"
    return Offer(labels, local, f"no image {', '.join(missing)} (fix: {fix})")


def _labels(images: Images) -> dict[str, str]:
    """Those that a node may carry; names first, should there be too many."""
    told = [(f"{PREFIX}image.{name}", "yes") for name in images]
    told += [
        (f"{PREFIX}label.{name}.{key}", value)
        for name, given in images.items()
        for key, value in given.items()
    ]
    fit = [pair for pair in told if max(map(len, pair)) <= LABEL_CHARS]
    return dict(fit[:LABELS_MAX])


def _require_engine() -> None:
    """Most nodes without an engine have no socket either: they need not load Docker's library. One
    that hangs is not waited for: the node asks again later."""
    from nova_sandbox.engine import DEFAULT_URL

    url = setting("sandbox.engine") or os.environ.get("DOCKER_HOST") or DEFAULT_URL
    path = url.removeprefix("unix://")
    if not url.startswith("unix://"):
        return
    if not os.path.exists(path):
        fix = "install Docker, then nova-sandbox image build --from-host; or sandbox.runtime=off"
        raise NotOffered(f"no container engine at {path}", fix)
    with socket.socket(socket.AF_UNIX) as door:
        door.settimeout(ANSWER_TIMEOUT_S)
        try:
            door.connect(path)
            door.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
            door.recv(1)
        except (TimeoutError, BlockingIOError):
            raise NotOffered(f"the engine at {path} does not answer", HUNG) from None
        except OSError:
            return  # Docker's library says it better


def _in_thread(work: Callable[[], Coroutine[Any, Any, Images]]) -> Future[Images]:
    """A call to an engine that hangs takes its time; it is not waited for."""
    done: Future[Images] = Future()

    def main() -> None:
        try:
            done.set_result(asyncio.run(work()))
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=main, daemon=True).start()
    return done


async def _try() -> Images:
    """Those that are here, of those that the config names; the first has to be."""
    from nova_sandbox import ImageMissing, Sandbox

    from nova_node.capabilities.sandbox_driver import MIB, NO_POOL, settings_of

    first, *others = setting("sandbox.images")
    async with Sandbox(settings_of(first, 256 * MIB, NO_POOL), self_test=True) as sandbox:
        here: Images = {first: sandbox.labels}
    if setting("sandbox.runtime") == "process":
        return {}
    for name in others:
        with contextlib.suppress(ImageMissing):
            async with Sandbox(settings_of(name, 256 * MIB, NO_POOL)) as sandbox:
                here[name] = sandbox.labels
    return here
