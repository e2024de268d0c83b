"""The synchronous client, against a node in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest
from nova_client import NotFound, SyncClient, TaskFailed, Timeout, Unreachable
from support.fake_node import fake_process


def test_the_sync_client_does_what_the_other_does():
    with fake_process() as address, SyncClient(address) as client:
        tasks = client.submit_many([("core.echo", {"n": n}) for n in range(20)])
        assert [task.result(5) for task in tasks] == [{"n": n} for n in range(20)]
        blob = client.submit("core.blob", {"size_bytes": 5})
        assert (blob.result(5), blob.result()) == ("xxxxx", "xxxxx")
        with pytest.raises(TaskFailed, match="no luck"):
            client.submit("core.fail", {"message": "no luck"}).result(5)
        with pytest.raises(Timeout):
            client.submit("core.hang").result(0.01)
        assert [event.seq for event, _ in zip(client.watch(1), range(3), strict=False)] == [1, 2, 3]
        assert len(list(client.logs(tasks[0].id))) == 2
        assert client.list_tasks(limit=3).total == 23
        with pytest.raises(NotFound):
            client.get("nobody-1")


def test_a_closed_client_says_so():
    with pytest.raises(Unreachable, match="not open"):
        SyncClient("127.0.0.1:9").nodes()
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9"), SyncClient("127.0.0.1:9"):
        pass


def test_importing_the_client_does_not_load_grpc():
    code = "import nova_client, sys; sys.exit('grpc' in sys.modules or 'nova_node' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
