"""Foreign code in a warm container. Useful alone: it imports nothing else of Nova.

    async with Sandbox() as sandbox:
        async for event in sandbox.run("print(1)"):
            ...

Loading it loads no Docker library; entering a Sandbox does.
"""

from nova_sandbox.errors import (
    EngineUnavailable,
    Exhausted,
    ImageMissing,
    Insecure,
    NotOffered,
    SandboxError,
)
from nova_sandbox.events import Event, File, Finished, Output, Status
from nova_sandbox.limits import Limits, Tier
from nova_sandbox.pool import PoolSize, PoolState
from nova_sandbox.sandbox import Sandbox, Session, Settings

__all__ = [
    "EngineUnavailable",
    "Event",
    "Exhausted",
    "File",
    "Finished",
    "ImageMissing",
    "Insecure",
    "Limits",
    "NotOffered",
    "Output",
    "PoolSize",
    "PoolState",
    "Sandbox",
    "SandboxError",
    "Session",
    "Settings",
    "Status",
    "Tier",
]
