from nova_proto.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Event(_message.Message):
    __slots__ = ("seq", "batch", "time", "accepted", "assigned", "retried", "grown", "finished", "output", "peer_changed", "requeued", "anomaly_seen")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    RETRIED_FIELD_NUMBER: _ClassVar[int]
    GROWN_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PEER_CHANGED_FIELD_NUMBER: _ClassVar[int]
    REQUEUED_FIELD_NUMBER: _ClassVar[int]
    ANOMALY_SEEN_FIELD_NUMBER: _ClassVar[int]
    seq: int
    batch: int
    time: float
    accepted: Accepted
    assigned: Assigned
    retried: Retried
    grown: Grown
    finished: Finished
    output: Output
    peer_changed: PeerChanged
    requeued: Requeued
    anomaly_seen: AnomalySeen
    def __init__(self, seq: _Optional[int] = ..., batch: _Optional[int] = ..., time: _Optional[float] = ..., accepted: _Optional[_Union[Accepted, _Mapping]] = ..., assigned: _Optional[_Union[Assigned, _Mapping]] = ..., retried: _Optional[_Union[Retried, _Mapping]] = ..., grown: _Optional[_Union[Grown, _Mapping]] = ..., finished: _Optional[_Union[Finished, _Mapping]] = ..., output: _Optional[_Union[Output, _Mapping]] = ..., peer_changed: _Optional[_Union[PeerChanged, _Mapping]] = ..., requeued: _Optional[_Union[Requeued, _Mapping]] = ..., anomaly_seen: _Optional[_Union[AnomalySeen, _Mapping]] = ...) -> None: ...

class Accepted(_message.Message):
    __slots__ = ("request_id", "groups", "submitter", "mandate", "budget_uusd")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    MANDATE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_UUSD_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    groups: _containers.RepeatedCompositeFieldContainer[_task_pb2.Group]
    submitter: str
    mandate: bytes
    budget_uusd: int
    def __init__(self, request_id: _Optional[str] = ..., groups: _Optional[_Iterable[_Union[_task_pb2.Group, _Mapping]]] = ..., submitter: _Optional[str] = ..., mandate: _Optional[bytes] = ..., budget_uusd: _Optional[int] = ...) -> None: ...

class Grown(_message.Message):
    __slots__ = ("parent", "first", "phase", "calls", "blobs", "parts")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    BLOBS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    parent: int
    first: int
    phase: _task_pb2.Phase
    calls: _containers.RepeatedCompositeFieldContainer[_task_pb2.Call]
    blobs: _containers.RepeatedCompositeFieldContainer[_task_pb2.BlobRef]
    parts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, parent: _Optional[int] = ..., first: _Optional[int] = ..., phase: _Optional[_Union[_task_pb2.Phase, str]] = ..., calls: _Optional[_Iterable[_Union[_task_pb2.Call, _Mapping]]] = ..., blobs: _Optional[_Iterable[_Union[_task_pb2.BlobRef, _Mapping]]] = ..., parts: _Optional[_Iterable[int]] = ...) -> None: ...

class Assigned(_message.Message):
    __slots__ = ("node", "nos", "attempts")
    NODE_FIELD_NUMBER: _ClassVar[int]
    NOS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    node: str
    nos: _containers.RepeatedScalarFieldContainer[int]
    attempts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, node: _Optional[str] = ..., nos: _Optional[_Iterable[int]] = ..., attempts: _Optional[_Iterable[int]] = ...) -> None: ...

class Retried(_message.Message):
    __slots__ = ("outcome", "not_before", "charged")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    NOT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    CHARGED_FIELD_NUMBER: _ClassVar[int]
    outcome: _task_pb2.Outcome
    not_before: float
    charged: bool
    def __init__(self, outcome: _Optional[_Union[_task_pb2.Outcome, _Mapping]] = ..., not_before: _Optional[float] = ..., charged: bool = ...) -> None: ...

class Finished(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[_task_pb2.Outcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[_task_pb2.Outcome, _Mapping]]] = ...) -> None: ...

class Output(_message.Message):
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

class Requeued(_message.Message):
    __slots__ = ("nos",)
    NOS_FIELD_NUMBER: _ClassVar[int]
    nos: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, nos: _Optional[_Iterable[int]] = ...) -> None: ...

class AnomalySeen(_message.Message):
    __slots__ = ("series", "value", "median", "z", "ended")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    series: str
    value: float
    median: float
    z: float
    ended: bool
    def __init__(self, series: _Optional[str] = ..., value: _Optional[float] = ..., median: _Optional[float] = ..., z: _Optional[float] = ..., ended: bool = ...) -> None: ...

class PeerChanged(_message.Message):
    __slots__ = ("node", "name", "state", "why")
    NODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    node: str
    name: str
    state: str
    why: str
    def __init__(self, node: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., why: _Optional[str] = ...) -> None: ...
