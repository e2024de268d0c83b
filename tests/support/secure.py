"""A mesh with identity, of real nodes on this machine, made without the commands that people use."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import grpc
from nova_proto.identity import certificates, folder, tls
from nova_proto.identity.folder import Credentials
from nova_proto.identity.names import NODE_ROLE, Name
from nova_proto.v1.nodes_pb2_grpc import NodesStub
from support.mesh import Mesh, Node

from nova_node.adapters.data_dir import DataDir
from nova_node.identity.authority import Authority
from nova_node.identity.data_keys import DataKeys
from nova_node.identity.live import DATA_KEYS

DAY_S = 86_400.0


class SecureMesh(Mesh):
    """The first node to be admitted holds the authority."""

    authority: Authority
    node_s = DAY_S

    def admit(self, name: str, node_s: float | None = None) -> str:
        """Make the folder of a node with its identity; the node's id."""
        where = self.folder / name
        data = DataDir(where)
        data.close()
        if not hasattr(self, "authority"):
            self.authority = Authority.create(
                where / "authority", self.name, data.node, node_s=self.node_s
            )
        own = self.credentials(NODE_ROLE, data.node, node_s or self.node_s)
        keys = DataKeys(where / "identity" / DATA_KEYS)
        folder.save(where / "identity", own)
        for key in self.authority.data_keys():
            keys.add(key.no, key.key)
        return data.node

    def credentials(
        self, role: str, id: str, lifetime_s: float | None = None, by: Authority | None = None
    ) -> Credentials:
        """`by` another authority, of another mesh that has the same name."""
        name, key, by = Name(self.name, role, id), certificates.new_key(), by or self.authority
        chain = by.issue(certificates.request(key), name, lifetime_s)
        trust = by.signed_trust().SerializeToString()
        return Credentials(name, certificates.key_to_pem(key), chain, trust)

    def start(self, name: str, *options: str, command: Sequence[str] = ()) -> Node:
        if not (self.folder / name / "identity").exists():
            self.admit(name)
        life = ("--set", f"node_certificate_s={self.node_s}")
        return super().start(name, *options, *life, command=command)


@contextlib.contextmanager
def called(node: Node, credentials: Credentials, pinned: str = "") -> Generator[grpc.Channel]:
    """A channel that expects this node, or the one with the id `pinned`."""
    options = tls.pin(credentials.name.mesh, pinned or node.id)
    with grpc.secure_channel(
        node.address, tls.channel_credentials(credentials), options
    ) as channel:
        yield channel


def nodes_of(channel: Any) -> Any:
    stub: Any = NodesStub(channel)
    return stub
