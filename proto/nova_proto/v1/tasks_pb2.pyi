from nova_proto.v1 import task_pb2 as _task_pb2
from nova_proto.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubmitRequest(_message.Message):
    __slots__ = ("request_id", "groups", "mandate", "budget_uusd")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    MANDATE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_UUSD_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    groups: _containers.RepeatedCompositeFieldContainer[_task_pb2.Group]
    mandate: bytes
    budget_uusd: int
    def __init__(self, request_id: _Optional[str] = ..., groups: _Optional[_Iterable[_Union[_task_pb2.Group, _Mapping]]] = ..., mandate: _Optional[bytes] = ..., budget_uusd: _Optional[int] = ...) -> None: ...

class SubmitReply(_message.Message):
    __slots__ = ("request_id", "owner", "first", "count")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    owner: str
    first: int
    count: int
    def __init__(self, request_id: _Optional[str] = ..., owner: _Optional[str] = ..., first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class WatchRequest(_message.Message):
    __slots__ = ("from_seq", "batches", "owner")
    FROM_SEQ_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    from_seq: int
    batches: _containers.RepeatedScalarFieldContainer[int]
    owner: str
    def __init__(self, from_seq: _Optional[int] = ..., batches: _Optional[_Iterable[int]] = ..., owner: _Optional[str] = ...) -> None: ...

class WatchReply(_message.Message):
    __slots__ = ("events", "seq")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    seq: int
    def __init__(self, events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., seq: _Optional[int] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("submit", "resume")
    SUBMIT_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    submit: SubmitRequest
    resume: WatchRequest
    def __init__(self, submit: _Optional[_Union[SubmitRequest, _Mapping]] = ..., resume: _Optional[_Union[WatchRequest, _Mapping]] = ...) -> None: ...

class Refused(_message.Message):
    __slots__ = ("request_id", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    error: _task_pb2.Error
    def __init__(self, request_id: _Optional[str] = ..., error: _Optional[_Union[_task_pb2.Error, _Mapping]] = ...) -> None: ...

class SessionReply(_message.Message):
    __slots__ = ("accepted", "refused", "events", "seq", "owner")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    accepted: _containers.RepeatedCompositeFieldContainer[SubmitReply]
    refused: _containers.RepeatedCompositeFieldContainer[Refused]
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    seq: int
    owner: str
    def __init__(self, accepted: _Optional[_Iterable[_Union[SubmitReply, _Mapping]]] = ..., refused: _Optional[_Iterable[_Union[Refused, _Mapping]]] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ..., seq: _Optional[int] = ..., owner: _Optional[str] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class AttemptView(_message.Message):
    __slots__ = ("attempt", "node", "status", "error", "started_at", "ended_at", "usage")
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    attempt: int
    node: str
    status: _task_pb2.Status
    error: _task_pb2.Error
    started_at: float
    ended_at: float
    usage: _task_pb2.Usage
    def __init__(self, attempt: _Optional[int] = ..., node: _Optional[str] = ..., status: _Optional[_Union[_task_pb2.Status, str]] = ..., error: _Optional[_Union[_task_pb2.Error, _Mapping]] = ..., started_at: _Optional[float] = ..., ended_at: _Optional[float] = ..., usage: _Optional[_Union[_task_pb2.Usage, _Mapping]] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("limit_uusd", "spent_uusd", "reserved_uusd")
    LIMIT_UUSD_FIELD_NUMBER: _ClassVar[int]
    SPENT_UUSD_FIELD_NUMBER: _ClassVar[int]
    RESERVED_UUSD_FIELD_NUMBER: _ClassVar[int]
    limit_uusd: int
    spent_uusd: int
    reserved_uusd: int
    def __init__(self, limit_uusd: _Optional[int] = ..., spent_uusd: _Optional[int] = ..., reserved_uusd: _Optional[int] = ...) -> None: ...

class TaskView(_message.Message):
    __slots__ = ("id", "owner", "status", "demand", "call", "phase", "parent", "value", "error", "attempts", "accepted_at", "ended_at", "children", "children_done", "children_total", "node", "submitter", "request_id", "usage", "budget", "parts")
    ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_DONE_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_TOTAL_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    SUBMITTER_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    owner: str
    status: _task_pb2.Status
    demand: _task_pb2.Demand
    call: _task_pb2.Call
    phase: _task_pb2.Phase
    parent: str
    value: _task_pb2.Value
    error: _task_pb2.Error
    attempts: _containers.RepeatedCompositeFieldContainer[AttemptView]
    accepted_at: float
    ended_at: float
    children: _containers.RepeatedScalarFieldContainer[str]
    children_done: int
    children_total: int
    node: str
    submitter: str
    request_id: str
    usage: _task_pb2.Usage
    budget: Budget
    parts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., owner: _Optional[str] = ..., status: _Optional[_Union[_task_pb2.Status, str]] = ..., demand: _Optional[_Union[_task_pb2.Demand, _Mapping]] = ..., call: _Optional[_Union[_task_pb2.Call, _Mapping]] = ..., phase: _Optional[_Union[_task_pb2.Phase, str]] = ..., parent: _Optional[str] = ..., value: _Optional[_Union[_task_pb2.Value, _Mapping]] = ..., error: _Optional[_Union[_task_pb2.Error, _Mapping]] = ..., attempts: _Optional[_Iterable[_Union[AttemptView, _Mapping]]] = ..., accepted_at: _Optional[float] = ..., ended_at: _Optional[float] = ..., children: _Optional[_Iterable[str]] = ..., children_done: _Optional[int] = ..., children_total: _Optional[int] = ..., node: _Optional[str] = ..., submitter: _Optional[str] = ..., request_id: _Optional[str] = ..., usage: _Optional[_Union[_task_pb2.Usage, _Mapping]] = ..., budget: _Optional[_Union[Budget, _Mapping]] = ..., parts: _Optional[_Iterable[str]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("statuses", "capability", "limit", "local_only", "children", "parent", "skip", "journaled")
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    JOURNALED_FIELD_NUMBER: _ClassVar[int]
    statuses: _containers.RepeatedScalarFieldContainer[_task_pb2.Status]
    capability: str
    limit: int
    local_only: bool
    children: bool
    parent: str
    skip: int
    journaled: bool
    def __init__(self, statuses: _Optional[_Iterable[_Union[_task_pb2.Status, str]]] = ..., capability: _Optional[str] = ..., limit: _Optional[int] = ..., local_only: bool = ..., children: bool = ..., parent: _Optional[str] = ..., skip: _Optional[int] = ..., journaled: bool = ...) -> None: ...

class ListReply(_message.Message):
    __slots__ = ("tasks", "missing", "total")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskView]
    missing: _containers.RepeatedScalarFieldContainer[str]
    total: int
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskView, _Mapping]]] = ..., missing: _Optional[_Iterable[str]] = ..., total: _Optional[int] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class CancelReply(_message.Message):
    __slots__ = ("status",)
    STATUS_FIELD_NUMBER: _ClassVar[int]
    status: _task_pb2.Status
    def __init__(self, status: _Optional[_Union[_task_pb2.Status, str]] = ...) -> None: ...

class RequeueRequest(_message.Message):
    __slots__ = ("ids",)
    IDS_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RequeueReply(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Requeuing]
    def __init__(self, tasks: _Optional[_Iterable[_Union[Requeuing, _Mapping]]] = ...) -> None: ...

class Requeuing(_message.Message):
    __slots__ = ("id", "status", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: _task_pb2.Status
    error: _task_pb2.Error
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[_task_pb2.Status, str]] = ..., error: _Optional[_Union[_task_pb2.Error, _Mapping]] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class Ranked(_message.Message):
    __slots__ = ("node", "name", "fits", "score", "reasons")
    NODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    FITS_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    node: str
    name: str
    fits: bool
    score: float
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, node: _Optional[str] = ..., name: _Optional[str] = ..., fits: bool = ..., score: _Optional[float] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class Explanation(_message.Message):
    __slots__ = ("id", "status", "waits_for", "unblock", "ranking", "ranked_at", "durability")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    UNBLOCK_FIELD_NUMBER: _ClassVar[int]
    RANKING_FIELD_NUMBER: _ClassVar[int]
    RANKED_AT_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    id: str
    status: _task_pb2.Status
    waits_for: str
    unblock: _containers.RepeatedScalarFieldContainer[str]
    ranking: _containers.RepeatedCompositeFieldContainer[Ranked]
    ranked_at: float
    durability: str
    def __init__(self, id: _Optional[str] = ..., status: _Optional[_Union[_task_pb2.Status, str]] = ..., waits_for: _Optional[str] = ..., unblock: _Optional[_Iterable[str]] = ..., ranking: _Optional[_Iterable[_Union[Ranked, _Mapping]]] = ..., ranked_at: _Optional[float] = ..., durability: _Optional[str] = ...) -> None: ...

class LogsRequest(_message.Message):
    __slots__ = ("id", "follow")
    ID_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    id: str
    follow: bool
    def __init__(self, id: _Optional[str] = ..., follow: bool = ...) -> None: ...

class LogsReply(_message.Message):
    __slots__ = ("lines",)
    LINES_FIELD_NUMBER: _ClassVar[int]
    lines: _containers.RepeatedCompositeFieldContainer[LogLine]
    def __init__(self, lines: _Optional[_Iterable[_Union[LogLine, _Mapping]]] = ...) -> None: ...

class LogLine(_message.Message):
    __slots__ = ("id", "attempt", "stderr", "text", "time")
    ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    id: str
    attempt: int
    stderr: bool
    text: str
    time: float
    def __init__(self, id: _Optional[str] = ..., attempt: _Optional[int] = ..., stderr: bool = ..., text: _Optional[str] = ..., time: _Optional[float] = ...) -> None: ...
