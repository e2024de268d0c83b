"""The typed client of Nova: `Client` (asyncio) and `SyncClient` (threads of your own).

async with Client() as client:
    task = await client.submit("core.sleep", {"seconds": 0.05})
    print(await task.result())
"""

from nova_client.client import Client
from nova_client.errors import (
    Invalid,
    NotFound,
    NovaError,
    Overloaded,
    Refused,
    TaskCancelled,
    TaskFailed,
    Timeout,
    Unreachable,
)
from nova_client.event import Event
from nova_client.find import find_address
from nova_client.model import BlobRef, Call, Files, Limits, Options, Outcome, Status
from nova_client.sync import SyncClient, SyncTask
from nova_client.task import Task

__all__ = [
    "BlobRef",
    "Call",
    "Client",
    "Event",
    "Files",
    "Invalid",
    "Limits",
    "NotFound",
    "NovaError",
    "Options",
    "Outcome",
    "Overloaded",
    "Refused",
    "Status",
    "SyncClient",
    "SyncTask",
    "Task",
    "TaskCancelled",
    "TaskFailed",
    "Timeout",
    "Unreachable",
    "find_address",
]
