from nova_proto.v1 import task_pb2 as _task_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class QueryRequest(_message.Message):
    __slots__ = ("sql", "timeout_ms", "rows_max", "local_only")
    SQL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    ROWS_MAX_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    sql: str
    timeout_ms: int
    rows_max: int
    local_only: bool
    def __init__(self, sql: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., rows_max: _Optional[int] = ..., local_only: bool = ...) -> None: ...

class QueryColumn(_message.Message):
    __slots__ = ("name", "type")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ...) -> None: ...

class QueryReply(_message.Message):
    __slots__ = ("origin", "columns", "rows", "end", "truncated", "error")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    origin: Origin
    columns: _containers.RepeatedCompositeFieldContainer[QueryColumn]
    rows: bytes
    end: bool
    truncated: bool
    error: _task_pb2.Error
    def __init__(self, origin: _Optional[_Union[Origin, _Mapping]] = ..., columns: _Optional[_Iterable[_Union[QueryColumn, _Mapping]]] = ..., rows: _Optional[bytes] = ..., end: bool = ..., truncated: bool = ..., error: _Optional[_Union[_task_pb2.Error, _Mapping]] = ...) -> None: ...

class Origin(_message.Message):
    __slots__ = ("node", "name")
    NODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    node: str
    name: str
    def __init__(self, node: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class Unanswered(_message.Message):
    __slots__ = ("origin", "error")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    origin: Origin
    error: _task_pb2.Error
    def __init__(self, origin: _Optional[_Union[Origin, _Mapping]] = ..., error: _Optional[_Union[_task_pb2.Error, _Mapping]] = ...) -> None: ...

class TopRequest(_message.Message):
    __slots__ = ("local_only",)
    LOCAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    local_only: bool
    def __init__(self, local_only: bool = ...) -> None: ...

class TopReply(_message.Message):
    __slots__ = ("nodes", "missing")
    NODES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Load]
    missing: _containers.RepeatedCompositeFieldContainer[Unanswered]
    def __init__(self, nodes: _Optional[_Iterable[_Union[Load, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[Unanswered, _Mapping]]] = ...) -> None: ...

class Load(_message.Message):
    __slots__ = ("origin", "at", "cpu", "cpu_node", "memory_bytes", "memory_free_bytes", "load", "queued", "unended", "slots", "slots_free", "lag_ms", "peers", "rate", "error_rate", "capabilities", "anomalies", "recent_rate", "recent_queued", "dropped", "pools")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    CPU_NODE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FREE_BYTES_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    UNENDED_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FREE_FIELD_NUMBER: _ClassVar[int]
    LAG_MS_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    ANOMALIES_FIELD_NUMBER: _ClassVar[int]
    RECENT_RATE_FIELD_NUMBER: _ClassVar[int]
    RECENT_QUEUED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    origin: Origin
    at: float
    cpu: float
    cpu_node: float
    memory_bytes: int
    memory_free_bytes: int
    load: float
    queued: int
    unended: int
    slots: int
    slots_free: int
    lag_ms: float
    peers: int
    rate: float
    error_rate: float
    capabilities: _containers.RepeatedCompositeFieldContainer[CapabilityLoad]
    anomalies: _containers.RepeatedCompositeFieldContainer[Anomaly]
    recent_rate: _containers.RepeatedScalarFieldContainer[float]
    recent_queued: _containers.RepeatedScalarFieldContainer[int]
    dropped: int
    pools: _containers.RepeatedCompositeFieldContainer[Pool]
    def __init__(self, origin: _Optional[_Union[Origin, _Mapping]] = ..., at: _Optional[float] = ..., cpu: _Optional[float] = ..., cpu_node: _Optional[float] = ..., memory_bytes: _Optional[int] = ..., memory_free_bytes: _Optional[int] = ..., load: _Optional[float] = ..., queued: _Optional[int] = ..., unended: _Optional[int] = ..., slots: _Optional[int] = ..., slots_free: _Optional[int] = ..., lag_ms: _Optional[float] = ..., peers: _Optional[int] = ..., rate: _Optional[float] = ..., error_rate: _Optional[float] = ..., capabilities: _Optional[_Iterable[_Union[CapabilityLoad, _Mapping]]] = ..., anomalies: _Optional[_Iterable[_Union[Anomaly, _Mapping]]] = ..., recent_rate: _Optional[_Iterable[float]] = ..., recent_queued: _Optional[_Iterable[int]] = ..., dropped: _Optional[int] = ..., pools: _Optional[_Iterable[_Union[Pool, _Mapping]]] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("image", "warm", "busy", "refilling", "waiting", "claims", "exhausted", "failed")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    WARM_FIELD_NUMBER: _ClassVar[int]
    BUSY_FIELD_NUMBER: _ClassVar[int]
    REFILLING_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    CLAIMS_FIELD_NUMBER: _ClassVar[int]
    EXHAUSTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    image: str
    warm: int
    busy: int
    refilling: int
    waiting: int
    claims: int
    exhausted: int
    failed: int
    def __init__(self, image: _Optional[str] = ..., warm: _Optional[int] = ..., busy: _Optional[int] = ..., refilling: _Optional[int] = ..., waiting: _Optional[int] = ..., claims: _Optional[int] = ..., exhausted: _Optional[int] = ..., failed: _Optional[int] = ...) -> None: ...

class CapabilityLoad(_message.Message):
    __slots__ = ("capability", "rate", "failed_rate", "elapsed_s", "elapsed_max_s")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    FAILED_RATE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_S_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MAX_S_FIELD_NUMBER: _ClassVar[int]
    capability: str
    rate: float
    failed_rate: float
    elapsed_s: float
    elapsed_max_s: float
    def __init__(self, capability: _Optional[str] = ..., rate: _Optional[float] = ..., failed_rate: _Optional[float] = ..., elapsed_s: _Optional[float] = ..., elapsed_max_s: _Optional[float] = ...) -> None: ...

class Anomaly(_message.Message):
    __slots__ = ("series", "at", "value", "median", "z")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    Z_FIELD_NUMBER: _ClassVar[int]
    series: str
    at: float
    value: float
    median: float
    z: float
    def __init__(self, series: _Optional[str] = ..., at: _Optional[float] = ..., value: _Optional[float] = ..., median: _Optional[float] = ..., z: _Optional[float] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ("begin", "end", "local_only")
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    begin: float
    end: float
    local_only: bool
    def __init__(self, begin: _Optional[float] = ..., end: _Optional[float] = ..., local_only: bool = ...) -> None: ...

class StatsReply(_message.Message):
    __slots__ = ("nodes", "all", "missing", "begin", "end")
    NODES_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[Sums]
    all: Sums
    missing: _containers.RepeatedCompositeFieldContainer[Unanswered]
    begin: float
    end: float
    def __init__(self, nodes: _Optional[_Iterable[_Union[Sums, _Mapping]]] = ..., all: _Optional[_Union[Sums, _Mapping]] = ..., missing: _Optional[_Iterable[_Union[Unanswered, _Mapping]]] = ..., begin: _Optional[float] = ..., end: _Optional[float] = ...) -> None: ...

class Sums(_message.Message):
    __slots__ = ("origin", "tasks", "done", "failed", "cancelled", "recovered", "recovered_s", "attempts", "away", "slot_s", "busy_s", "tasks_an_hour", "error_rate", "recovery_s", "utilisation", "collaboration")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    RECOVERED_FIELD_NUMBER: _ClassVar[int]
    RECOVERED_S_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    AWAY_FIELD_NUMBER: _ClassVar[int]
    SLOT_S_FIELD_NUMBER: _ClassVar[int]
    BUSY_S_FIELD_NUMBER: _ClassVar[int]
    TASKS_AN_HOUR_FIELD_NUMBER: _ClassVar[int]
    ERROR_RATE_FIELD_NUMBER: _ClassVar[int]
    RECOVERY_S_FIELD_NUMBER: _ClassVar[int]
    UTILISATION_FIELD_NUMBER: _ClassVar[int]
    COLLABORATION_FIELD_NUMBER: _ClassVar[int]
    origin: Origin
    tasks: int
    done: int
    failed: int
    cancelled: int
    recovered: int
    recovered_s: float
    attempts: int
    away: int
    slot_s: float
    busy_s: float
    tasks_an_hour: float
    error_rate: float
    recovery_s: float
    utilisation: float
    collaboration: float
    def __init__(self, origin: _Optional[_Union[Origin, _Mapping]] = ..., tasks: _Optional[int] = ..., done: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., recovered: _Optional[int] = ..., recovered_s: _Optional[float] = ..., attempts: _Optional[int] = ..., away: _Optional[int] = ..., slot_s: _Optional[float] = ..., busy_s: _Optional[float] = ..., tasks_an_hour: _Optional[float] = ..., error_rate: _Optional[float] = ..., recovery_s: _Optional[float] = ..., utilisation: _Optional[float] = ..., collaboration: _Optional[float] = ...) -> None: ...

class SeriesRequest(_message.Message):
    __slots__ = ("series", "capability", "begin", "end", "step_s", "ahead", "local_only")
    SERIES_FIELD_NUMBER: _ClassVar[int]
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    LOCAL_ONLY_FIELD_NUMBER: _ClassVar[int]
    series: str
    capability: str
    begin: float
    end: float
    step_s: float
    ahead: int
    local_only: bool
    def __init__(self, series: _Optional[str] = ..., capability: _Optional[str] = ..., begin: _Optional[float] = ..., end: _Optional[float] = ..., step_s: _Optional[float] = ..., ahead: _Optional[int] = ..., local_only: bool = ...) -> None: ...

class SeriesReply(_message.Message):
    __slots__ = ("nodes", "missing", "unit", "step_s")
    NODES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    STEP_S_FIELD_NUMBER: _ClassVar[int]
    nodes: _containers.RepeatedCompositeFieldContainer[NodeSeries]
    missing: _containers.RepeatedCompositeFieldContainer[Unanswered]
    unit: str
    step_s: float
    def __init__(self, nodes: _Optional[_Iterable[_Union[NodeSeries, _Mapping]]] = ..., missing: _Optional[_Iterable[_Union[Unanswered, _Mapping]]] = ..., unit: _Optional[str] = ..., step_s: _Optional[float] = ...) -> None: ...

class NodeSeries(_message.Message):
    __slots__ = ("origin", "points", "method", "ahead")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    origin: Origin
    points: _containers.RepeatedCompositeFieldContainer[Point]
    method: str
    ahead: _containers.RepeatedCompositeFieldContainer[Ahead]
    def __init__(self, origin: _Optional[_Union[Origin, _Mapping]] = ..., points: _Optional[_Iterable[_Union[Point, _Mapping]]] = ..., method: _Optional[str] = ..., ahead: _Optional[_Iterable[_Union[Ahead, _Mapping]]] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("at", "value")
    AT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    at: float
    value: float
    def __init__(self, at: _Optional[float] = ..., value: _Optional[float] = ...) -> None: ...

class Ahead(_message.Message):
    __slots__ = ("at", "value", "error")
    AT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    at: float
    value: float
    error: float
    def __init__(self, at: _Optional[float] = ..., value: _Optional[float] = ..., error: _Optional[float] = ...) -> None: ...
