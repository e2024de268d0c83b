"""An authority's node as those who join see it: gRPC on a port of this machine, no mesh behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from nova_proto.identity import certificates
from nova_proto.identity.errors import IdentityError
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import Name
from nova_proto.identity.trust import stored_trust
from nova_proto.v1 import identity_pb2, identity_pb2_grpc, task_pb2

from nova_node.identity.authority import Authority

NODE = "node-a"


def credentials_of(authority: Authority, name: Name, lifetime_s: float = 3_600) -> Credentials:
    key = certificates.new_key()
    chain = authority.issue(certificates.request(key), name, lifetime_s)
    trust = authority.signed_trust().SerializeToString()
    return Credentials(name, certificates.key_to_pem(key), chain, trust)


class _Servicer(identity_pb2_grpc.JoinServicer, identity_pb2_grpc.IdentityServicer):
    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.received: list[Any] = []

    def Roots(self, request: Any, context: Any) -> identity_pb2.SignedTrust:
        return self.authority.signed_trust()

    def Enroll(self, request: Any, context: Any) -> identity_pb2.EnrollReply:
        self.received.append(request)
        try:
            chain = self.authority.enroll(request.token, request.request, request.node)
        except IdentityError as error:
            said = task_pb2.Error(code=error.code, message=error.message, fix=error.fix)
            context.set_trailing_metadata((("nova-error-bin", said.SerializeToString()),))
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.message)
            raise AssertionError("abort raises") from None
        return self.reply(chain)

    def Renew(self, request: Any, context: Any) -> identity_pb2.EnrollReply:
        pem = context.auth_context()["x509_pem_cert"][0]
        name = certificates.read_leaf(certificates.pem_to_der(pem)[0]).name
        return self.reply(self.authority.renew(request.request, name))

    def reply(self, chain: tuple[bytes, ...]) -> identity_pb2.EnrollReply:
        return identity_pb2.EnrollReply(
            chain=chain, trust=self.authority.signed_trust(), keys=self.authority.data_keys()
        )


class JoinServer:
    """Serves as `node` until it is closed. `received` are the enrolments that reached it."""

    def __init__(
        self,
        folder: Path,
        mesh: str = "example",
        shown: Credentials | None = None,
        members_only: bool = False,
    ) -> None:
        self.authority = Authority.create(folder, mesh, NODE)
        self.shown = shown or credentials_of(self.authority, Name(mesh, "worker", NODE))
        self._servicer = _Servicer(self.authority)
        self.received = self._servicer.received
        self._server: Any = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        generated: Any = identity_pb2_grpc
        generated.add_JoinServicer_to_server(self._servicer, self._server)
        generated.add_IdentityServicer_to_server(self._servicer, self._server)
        pair = (self.shown.key_pem, certificates.der_to_pem(self.shown.chain))
        roots = certificates.der_to_pem(stored_trust(self.shown.trust).roots)
        credentials = grpc.ssl_server_credentials(
            [pair], roots if members_only else None, members_only
        )
        self.port: int = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def __enter__(self) -> JoinServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
