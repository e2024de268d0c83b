from nova_proto.v1 import mesh_pb2 as _mesh_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListNodesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeView(_message.Message):
    __slots__ = ("member", "card", "age_s", "rtt_ms", "self", "skew")
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    AGE_S_FIELD_NUMBER: _ClassVar[int]
    RTT_MS_FIELD_NUMBER: _ClassVar[int]
    SELF_FIELD_NUMBER: _ClassVar[int]
    SKEW_FIELD_NUMBER: _ClassVar[int]
    member: _mesh_pb2.Member
    card: _mesh_pb2.Card
    age_s: float
    rtt_ms: float
    self: bool
    skew: str
    def __init__(self_, member: _Optional[_Union[_mesh_pb2.Member, _Mapping]] = ..., card: _Optional[_Union[_mesh_pb2.Card, _Mapping]] = ..., age_s: _Optional[float] = ..., rtt_ms: _Optional[float] = ..., self: bool = ..., skew: _Optional[str] = ...) -> None: ...

class ListNodesReply(_message.Message):
    __slots__ = ("mesh", "nodes")
    MESH_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    mesh: str
    nodes: _containers.RepeatedCompositeFieldContainer[NodeView]
    def __init__(self, mesh: _Optional[str] = ..., nodes: _Optional[_Iterable[_Union[NodeView, _Mapping]]] = ...) -> None: ...

class CapabilitiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Offered(_message.Message):
    __slots__ = ("capability", "nodes")
    CAPABILITY_FIELD_NUMBER: _ClassVar[int]
    NODES_FIELD_NUMBER: _ClassVar[int]
    capability: _mesh_pb2.Capability
    nodes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, capability: _Optional[_Union[_mesh_pb2.Capability, _Mapping]] = ..., nodes: _Optional[_Iterable[str]] = ...) -> None: ...

class CapabilitiesReply(_message.Message):
    __slots__ = ("capabilities",)
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    capabilities: _containers.RepeatedCompositeFieldContainer[Offered]
    def __init__(self, capabilities: _Optional[_Iterable[_Union[Offered, _Mapping]]] = ...) -> None: ...

class StatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class NodeStatus(_message.Message):
    __slots__ = ("node", "waiting", "running", "done", "failed", "seq", "journal_bytes", "blob_bytes", "rss_bytes", "up_s", "lag_ms", "incarnation", "data_dir", "pid")
    NODE_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    JOURNAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    BLOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    UP_S_FIELD_NUMBER: _ClassVar[int]
    LAG_MS_FIELD_NUMBER: _ClassVar[int]
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    DATA_DIR_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    node: NodeView
    waiting: int
    running: int
    done: int
    failed: int
    seq: int
    journal_bytes: int
    blob_bytes: int
    rss_bytes: int
    up_s: float
    lag_ms: float
    incarnation: int
    data_dir: str
    pid: int
    def __init__(self, node: _Optional[_Union[NodeView, _Mapping]] = ..., waiting: _Optional[int] = ..., running: _Optional[int] = ..., done: _Optional[int] = ..., failed: _Optional[int] = ..., seq: _Optional[int] = ..., journal_bytes: _Optional[int] = ..., blob_bytes: _Optional[int] = ..., rss_bytes: _Optional[int] = ..., up_s: _Optional[float] = ..., lag_ms: _Optional[float] = ..., incarnation: _Optional[int] = ..., data_dir: _Optional[str] = ..., pid: _Optional[int] = ...) -> None: ...

class DrainRequest(_message.Message):
    __slots__ = ("stay", "timeout_s")
    STAY_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    stay: bool
    timeout_s: float
    def __init__(self, stay: bool = ..., timeout_s: _Optional[float] = ...) -> None: ...

class DrainReply(_message.Message):
    __slots__ = ("left_running", "resumed")
    LEFT_RUNNING_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    left_running: int
    resumed: bool
    def __init__(self, left_running: _Optional[int] = ..., resumed: bool = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeReply(_message.Message):
    __slots__ = ("was_draining",)
    WAS_DRAINING_FIELD_NUMBER: _ClassVar[int]
    was_draining: bool
    def __init__(self, was_draining: bool = ...) -> None: ...
