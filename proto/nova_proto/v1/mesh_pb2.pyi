from nova_proto.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class MemberState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALIVE: _ClassVar[MemberState]
    SUSPECT: _ClassVar[MemberState]
    DEAD: _ClassVar[MemberState]
    LEFT: _ClassVar[MemberState]
ALIVE: MemberState
SUSPECT: MemberState
DEAD: MemberState
LEFT: MemberState

class Digest(_message.Message):
    __slots__ = ("card_version", "slots", "slots_free", "queued", "lag_ms", "draining")
    CARD_VERSION_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FREE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    LAG_MS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    card_version: int
    slots: int
    slots_free: int
    queued: int
    lag_ms: int
    draining: bool
    def __init__(self, card_version: _Optional[int] = ..., slots: _Optional[int] = ..., slots_free: _Optional[int] = ..., queued: _Optional[int] = ..., lag_ms: _Optional[int] = ..., draining: bool = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("node", "name", "address", "incarnation", "state", "digest", "protocol", "version", "mesh", "digest_seq")
    NODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MESH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_SEQ_FIELD_NUMBER: _ClassVar[int]
    node: str
    name: str
    address: str
    incarnation: int
    state: MemberState
    digest: Digest
    protocol: int
    version: str
    mesh: str
    digest_seq: int
    def __init__(self, node: _Optional[str] = ..., name: _Optional[str] = ..., address: _Optional[str] = ..., incarnation: _Optional[int] = ..., state: _Optional[_Union[MemberState, str]] = ..., digest: _Optional[_Union[Digest, _Mapping]] = ..., protocol: _Optional[int] = ..., version: _Optional[str] = ..., mesh: _Optional[str] = ..., digest_seq: _Optional[int] = ...) -> None: ...

class ProbeRequest(_message.Message):
    __slots__ = ("mesh", "sender", "target", "gossip")
    MESH_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    sender: str
    target: str
    gossip: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, mesh: _Optional[str] = ..., sender: _Optional[str] = ..., target: _Optional[str] = ..., gossip: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class ProbeReply(_message.Message):
    __slots__ = ("node", "gossip")
    NODE_FIELD_NUMBER: _ClassVar[int]
    GOSSIP_FIELD_NUMBER: _ClassVar[int]
    node: str
    gossip: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, node: _Optional[str] = ..., gossip: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class ProbeViaRequest(_message.Message):
    __slots__ = ("probe", "address", "timeout_ms")
    PROBE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    probe: ProbeRequest
    address: str
    timeout_ms: int
    def __init__(self, probe: _Optional[_Union[ProbeRequest, _Mapping]] = ..., address: _Optional[str] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class SyncRequest(_message.Message):
    __slots__ = ("mesh", "sender", "members")
    MESH_FIELD_NUMBER: _ClassVar[int]
    SENDER_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    sender: Member
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, mesh: _Optional[str] = ..., sender: _Optional[_Union[Member, _Mapping]] = ..., members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class SyncReply(_message.Message):
    __slots__ = ("members",)
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    members: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, members: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class CardRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Param(_message.Message):
    __slots__ = ("name", "type", "required", "default", "doc")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    required: bool
    default: bytes
    doc: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., required: bool = ..., default: _Optional[bytes] = ..., doc: _Optional[str] = ...) -> None: ...

class Capability(_message.Message):
    __slots__ = ("name", "version", "doc", "params", "splits", "merges", "limits", "waits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    SPLITS_FIELD_NUMBER: _ClassVar[int]
    MERGES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: str
    doc: str
    params: _containers.RepeatedCompositeFieldContainer[Param]
    splits: bool
    merges: bool
    limits: _task_pb2.Limits
    waits: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[str] = ..., doc: _Optional[str] = ..., params: _Optional[_Iterable[_Union[Param, _Mapping]]] = ..., splits: bool = ..., merges: bool = ..., limits: _Optional[_Union[_task_pb2.Limits, _Mapping]] = ..., waits: bool = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "kind", "local", "context_tokens", "output_tokens_max", "input_uusd_per_mtok", "output_uusd_per_mtok", "takes_images", "calls_tools", "ttft_ms", "tokens_per_s")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LOCAL_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_MAX_FIELD_NUMBER: _ClassVar[int]
    INPUT_UUSD_PER_MTOK_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_UUSD_PER_MTOK_FIELD_NUMBER: _ClassVar[int]
    TAKES_IMAGES_FIELD_NUMBER: _ClassVar[int]
    CALLS_TOOLS_FIELD_NUMBER: _ClassVar[int]
    TTFT_MS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_S_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    local: bool
    context_tokens: int
    output_tokens_max: int
    input_uusd_per_mtok: int
    output_uusd_per_mtok: int
    takes_images: bool
    calls_tools: bool
    ttft_ms: float
    tokens_per_s: float
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., local: bool = ..., context_tokens: _Optional[int] = ..., output_tokens_max: _Optional[int] = ..., input_uusd_per_mtok: _Optional[int] = ..., output_uusd_per_mtok: _Optional[int] = ..., takes_images: bool = ..., calls_tools: bool = ..., ttft_ms: _Optional[float] = ..., tokens_per_s: _Optional[float] = ...) -> None: ...

class Card(_message.Message):
    __slots__ = ("node", "card_version", "capabilities", "labels", "slots", "cpus", "memory_bytes", "platform", "python", "warnings", "models")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NODE_FIELD_NUMBER: _ClassVar[int]
    CARD_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PLATFORM_FIELD_NUMBER: _ClassVar[int]
    PYTHON_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    node: str
    card_version: int
    capabilities: _containers.RepeatedCompositeFieldContainer[Capability]
    labels: _containers.ScalarMap[str, str]
    slots: int
    cpus: int
    memory_bytes: int
    platform: str
    python: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, node: _Optional[str] = ..., card_version: _Optional[int] = ..., capabilities: _Optional[_Iterable[_Union[Capability, _Mapping]]] = ..., labels: _Optional[_Mapping[str, str]] = ..., slots: _Optional[int] = ..., cpus: _Optional[int] = ..., memory_bytes: _Optional[int] = ..., platform: _Optional[str] = ..., python: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class WorkRequest(_message.Message):
    __slots__ = ("hello", "assignments", "cancels", "recall", "release", "mandates")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    MANDATES_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    assignments: _containers.RepeatedCompositeFieldContainer[Assignment]
    cancels: _containers.RepeatedCompositeFieldContainer[Fence]
    recall: int
    release: _containers.RepeatedScalarFieldContainer[str]
    mandates: _containers.RepeatedCompositeFieldContainer[WorkMandate]
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., assignments: _Optional[_Iterable[_Union[Assignment, _Mapping]]] = ..., cancels: _Optional[_Iterable[_Union[Fence, _Mapping]]] = ..., recall: _Optional[int] = ..., release: _Optional[_Iterable[str]] = ..., mandates: _Optional[_Iterable[_Union[WorkMandate, _Mapping]]] = ...) -> None: ...

class WorkMandate(_message.Message):
    __slots__ = ("no", "submitter", "mandate")
    NO_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    MANDATE_FIELD_NUMBER: _ClassVar[int]
    no: int
    submitter: str
    mandate: bytes
    def __init__(self, no: _Optional[int] = ..., submitter: _Optional[str] = ..., mandate: _Optional[bytes] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("owner", "incarnation", "protocol", "mesh")
    OWNER_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    MESH_FIELD_NUMBER: _ClassVar[int]
    owner: str
    incarnation: int
    protocol: int
    mesh: str
    def __init__(self, owner: _Optional[str] = ..., incarnation: _Optional[int] = ..., protocol: _Optional[int] = ..., mesh: _Optional[str] = ...) -> None: ...

class Fence(_message.Message):
    __slots__ = ("no", "attempt")
    NO_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    no: int
    attempt: int
    def __init__(self, no: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("demand", "phase", "part", "calls", "blobs", "mandate", "first")
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    MANDATE_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    demand: _task_pb2.Demand
    phase: _task_pb2.Phase
    part: bool
    calls: _containers.RepeatedCompositeFieldContainer[AssignedCall]
    blobs: _containers.RepeatedCompositeFieldContainer[_task_pb2.BlobRef]
    mandate: int
    first: int
    def __init__(self, demand: _Optional[_Union[_task_pb2.Demand, _Mapping]] = ..., phase: _Optional[_Union[_task_pb2.Phase, str]] = ..., part: bool = ..., calls: _Optional[_Iterable[_Union[AssignedCall, _Mapping]]] = ..., blobs: _Optional[_Iterable[_Union[_task_pb2.BlobRef, _Mapping]]] = ..., mandate: _Optional[int] = ..., first: _Optional[int] = ...) -> None: ...

class AssignedCall(_message.Message):
    __slots__ = ("no", "attempt", "call", "parts", "depth")
    NO_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    DEPTH_FIELD_NUMBER: _ClassVar[int]
    no: int
    attempt: int
    call: _task_pb2.Call
    parts: _containers.RepeatedCompositeFieldContainer[_task_pb2.Value]
    depth: int
    def __init__(self, no: _Optional[int] = ..., attempt: _Optional[int] = ..., call: _Optional[_Union[_task_pb2.Call, _Mapping]] = ..., parts: _Optional[_Iterable[_Union[_task_pb2.Value, _Mapping]]] = ..., depth: _Optional[int] = ...) -> None: ...

class WorkReply(_message.Message):
    __slots__ = ("credit", "results", "returned", "said", "cuts")
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    SAID_FIELD_NUMBER: _ClassVar[int]
    CUTS_FIELD_NUMBER: _ClassVar[int]
    credit: Credit
    results: _containers.RepeatedCompositeFieldContainer[_task_pb2.Outcome]
    returned: _containers.RepeatedCompositeFieldContainer[Fence]
    said: _containers.RepeatedCompositeFieldContainer[Said]
    cuts: _containers.RepeatedCompositeFieldContainer[Cut]
    def __init__(self, credit: _Optional[_Union[Credit, _Mapping]] = ..., results: _Optional[_Iterable[_Union[_task_pb2.Outcome, _Mapping]]] = ..., returned: _Optional[_Iterable[_Union[Fence, _Mapping]]] = ..., said: _Optional[_Iterable[_Union[Said, _Mapping]]] = ..., cuts: _Optional[_Iterable[_Union[Cut, _Mapping]]] = ...) -> None: ...

class Cut(_message.Message):
    __slots__ = ("no", "attempt", "shards", "elapsed_us")
    NO_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_US_FIELD_NUMBER: _ClassVar[int]
    no: int
    attempt: int
    shards: _containers.RepeatedCompositeFieldContainer[_task_pb2.Call]
    elapsed_us: int
    def __init__(self, no: _Optional[int] = ..., attempt: _Optional[int] = ..., shards: _Optional[_Iterable[_Union[_task_pb2.Call, _Mapping]]] = ..., elapsed_us: _Optional[int] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("budget_us", "min_items", "max_items", "max_bytes", "places")
    BUDGET_US_FIELD_NUMBER: _ClassVar[int]
    MIN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    budget_us: int
    min_items: int
    max_items: int
    max_bytes: int
    places: int
    def __init__(self, budget_us: _Optional[int] = ..., min_items: _Optional[int] = ..., max_items: _Optional[int] = ..., max_bytes: _Optional[int] = ..., places: _Optional[int] = ...) -> None: ...

class Said(_message.Message):
    __slots__ = ("no", "attempt", "stderr", "text")
    NO_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    no: int
    attempt: int
    stderr: bool
    text: str
    def __init__(self, no: _Optional[int] = ..., attempt: _Optional[int] = ..., stderr: bool = ..., text: _Optional[str] = ...) -> None: ...
