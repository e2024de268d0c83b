"""Submits that somebody signed, and the attempts that an owner makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from nova_proto.identity import certificates
from nova_proto.identity.mandate import Signer, sign_mandate
from nova_proto.identity.names import Name
from nova_proto.v1 import identity_pb2, task_pb2, tasks_pb2
from support.forge import MESH, NOW, PERSON, Mesh

from nova_node.adapters.wire import groups_from_pb
from nova_node.core.model import Attempt, Group, Mandate, Phase
from nova_node.core.policy import DEFAULT_RULES, USES, CapabilityRule, Labels, Uses
from nova_node.identity.mandates import Mandates

OWNER = "ownernode"


@dataclass
class Signing:
    """One person of one mesh, and nodes of that mesh, all at the time `now`."""

    mesh: Mesh = field(default_factory=Mesh)
    name: Name = PERSON
    now: float = NOW
    revoked: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        self.key = certificates.new_key()
        self.chain = self.mesh.chain(self.name, self.key)
        self.signer = Signer(self.key, self.chain)

    def trust(self) -> identity_pb2.Trust:
        revoked = [identity_pb2.Revoked(name=n, revoked_at=at) for n, at in self.revoked.items()]
        return identity_pb2.Trust(
            mesh=MESH, version=1, roots=[self.mesh.root], revoked=revoked, authority=OWNER
        )

    def node(
        self,
        me: str = OWNER,
        rules: Sequence[CapabilityRule] = DEFAULT_RULES,
        labels: Labels = (),
        uses: Uses = USES,
    ) -> Mandates:
        return Mandates(me, self.trust(), rules, labels, lambda: self.now, uses)

    def submit(
        self, *groups: task_pb2.Group, request_id: str = "r1", audience: str = OWNER
    ) -> tasks_pb2.SubmitRequest:
        """Signed now, for `audience`."""
        request = tasks_pb2.SubmitRequest(request_id=request_id, groups=groups or [group()])
        request.mandate = self.signer.sign(request, audience, self.now)
        return request

    def manifest(
        self, request: tasks_pb2.SubmitRequest, change: Callable[[identity_pb2.Manifest], None]
    ) -> bytes:
        """The mandate of a submit, signed by the same person with something else in it."""
        pb = identity_pb2.Mandate.FromString(request.mandate)
        manifest = identity_pb2.Manifest.FromString(pb.manifest)
        change(manifest)
        return sign_mandate(manifest, self.key, self.chain)


def group(count: int = 3, capability: str = "text.count", **demand: object) -> task_pb2.Group:
    """Calls that differ."""
    calls = [task_pb2.Call(args=b'{"n":%d}' % n) for n in range(count)]
    wanted = task_pb2.Demand(capability=capability, **demand)  # pyright: ignore[reportArgumentType]
    return task_pb2.Group(demand=wanted, calls=calls)


def groups_of(request: tasks_pb2.SubmitRequest) -> tuple[Group, ...]:
    return groups_from_pb(request.groups)


def attempts_of(
    request: tasks_pb2.SubmitRequest, submitter: str = PERSON.short, first: int = 100
) -> list[Attempt]:
    """As an owner sends them that gave the batch the numbers from `first` on."""
    mandate = Mandate(submitter, request.mandate)
    attempts: list[Attempt] = []
    for demand, calls, blobs in groups_of(request):
        for call in calls:
            no = first + len(attempts)
            attempts.append(
                Attempt(no, 1, demand, Phase.RUN, call, (), False, 0, blobs, mandate, first)
            )
    return attempts
