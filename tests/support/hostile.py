"""A node to be hostile to, without or with identity, and what to see of it: that it is well."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psutil
from nova_proto import local_key
from nova_proto.identity import certificates
from nova_proto.identity.folder import Credentials
from nova_proto.identity.mandate import Signer
from nova_proto.v1 import nodes_pb2, task_pb2, tasks_pb2
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from nova_proto.v1.tasks_pb2_grpc import TasksStub
from support.http2 import Connection
from support.mesh import Mesh, wait_for
from support.secure import SecureMesh, called

MODULE = "support.hostile_capabilities"
ENDED = (task_pb2.DONE, task_pb2.FAILED, task_pb2.CANCELLED)
CALL_S = 20.0
OPTIONS = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))


class Ended(NamedTuple):
    """How a call that failed did so."""

    status: grpc.StatusCode
    code: str
    message: str
    fix: str
    details: str


class Target:
    """A running node and who may call it: its user, or an admin and another node of its mesh."""

    def __init__(self, mesh: Mesh, options: Sequence[str] = ()) -> None:
        self.mesh = mesh
        self.node = mesh.start("target", "--no-mdns", "--capability", MODULE, *options)
        assert self.node.address
        self.admin: Credentials | None = None
        self.peer: Credentials | None = None
        if isinstance(mesh, SecureMesh):
            self.admin = mesh.credentials("admin", "ada")
            self.peer = mesh.credentials("worker", "liar")

    @contextlib.contextmanager
    def channel(self, peer: bool = False) -> Generator[Any]:
        """What to make stubs on, and to call by name; `peer`: as another node."""
        own = self.peer if peer else self.admin
        if own is not None:
            with called(self.node, own) as channel:
                yield channel
            return
        with grpc.insecure_channel(self.node.address, OPTIONS) as channel:
            yield self.node.keyed(channel)

    def plain(self) -> socket.socket:
        host, _, port = self.node.address.rpartition(":")
        return socket.create_connection((host, int(port)), 5.0)

    def raw(self, window: int = 65_535) -> Connection:
        return Connection(self.plain(), self._tls(), window)

    def headers(self) -> list[tuple[str, str]]:
        """Those of a call on a raw connection."""
        if self.admin is not None:
            return []
        return [(local_key.METADATA_KEY, local_key.read(self.mesh.runtime_dir))]

    def _tls(self) -> ssl.SSLContext | None:
        if self.admin is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        file = Path(self.mesh.folder) / "admin.pem"
        file.write_bytes(self.admin.key_pem + certificates.der_to_pem(list(self.admin.chain)))
        context.load_cert_chain(file)
        return context

    def rss_bytes(self) -> int:
        return int(psutil.Process(self.node.pid).memory_info().rss)

    # ------------------------------------------------------------ tasks

    def submit(
        self, *groups: task_pb2.Group, request_id: str | None = None
    ) -> tasks_pb2.SubmitRequest:
        """Signed where that is asked for."""
        request_id = secrets.token_hex(8) if request_id is None else request_id
        request = tasks_pb2.SubmitRequest(request_id=request_id, groups=groups)
        if self.admin is not None:
            request.mandate = Signer.of(self.admin).sign(request, self.node.id, time.time())
        return request

    def run(self, channel: Any, *groups: task_pb2.Group) -> list[tasks_pb2.TaskView]:
        """The tasks of one submit, once they have ended."""
        tasks: Any = TasksStub(channel)
        reply = tasks.Submit(self.submit(*groups), timeout=CALL_S)
        views: list[tasks_pb2.TaskView] = []
        for no in range(reply.first, reply.first + reply.count):
            ask = tasks_pb2.GetRequest(id=f"{self.node.id[:8]}-{no}")

            def ended(ask: tasks_pb2.GetRequest = ask) -> tasks_pb2.TaskView | None:
                view = tasks.Get(ask, timeout=CALL_S)
                return view if view.status in ENDED else None

            views.append(wait_for(ended, f"task {no}"))
        return views

    def check_well(self) -> None:
        """It answers health, looks at its disk, and runs a task."""
        with self.channel() as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert check(b"", timeout=CALL_S) == b"\x08\x01"
            nodes: Any = NodesStub(channel)
            assert nodes.Status(nodes_pb2.StatusRequest(), timeout=CALL_S).pid == self.node.pid
            (view,) = self.run(channel, group("core.echo", b'{"data":"well"}'))
            assert (view.status, view.value.json) == (task_pb2.DONE, b'"well"')


def targets(folder: Path, kind: str, options: Sequence[str] = ()) -> Iterator[Target]:
    with (SecureMesh if kind == "identity" else Mesh)(folder) as mesh:
        yield Target(mesh, options)


def group(capability: str, *args: bytes, **demand: Any) -> task_pb2.Group:
    calls = [task_pb2.Call(args=each) for each in args]
    return task_pb2.Group(demand=task_pb2.Demand(capability=capability, **demand), calls=calls)


def ends(call: Any) -> Ended:
    """How this ends, a call that must fail or a function that makes one."""
    try:
        for _ in call if hasattr(call, "__next__") else [call()]:
            pass
    except grpc.RpcError as error:
        broken: Any = error
    else:
        raise AssertionError("it did not fail")
    said = task_pb2.Error()
    for key, value in broken.trailing_metadata() or ():
        if key == "nova-error-bin":
            said.ParseFromString(value)
    return Ended(broken.code(), said.code, said.message, said.fix, broken.details() or "")
