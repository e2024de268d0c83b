"""What a caller may send that it should not, over real sockets, to a node with and without identity.

Each gets one typed error, nothing is lost, and the node goes on: after every test it answers
health, looks at its disk and runs a task. Callers here have the right to call: the local key, or a
certificate. Where the rest is:

- strangers, other certificates, TLS before 1.3, plaintext to TLS, random bytes, silent connections:
  `test_identity_transport.py`; without the local key: `test_local_key.py`
- any bytes through each codec, bad names, numbers and sizes: `tests/property/test_wire.py`
- requests that are read, but not by this protocol, and streams cut while open: `tests/unit/test_gate.py`
- who does not read and who sends an upload by halves: `tests/unit/test_watch.py`,
  `test_blobs_service.py`, `test_gate.py`
- splits and results that are wrong: `tests/contract/test_executor_process.py`, `tests/unit/test_shards.py`
- gossip: `tests/unit/test_membership*.py`
- mDNS: `tests/unit/test_mdns.py`, `tests/contract/test_discovery.py`
- what a node does not start with: `test_refusals.py`
- no module reads pickles: `tests/architecture/test_no_pickle.py`
"""

from __future__ import annotations

import pickle
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from nova_proto.v1 import blobs_pb2, mesh_pb2, metrics_pb2, nodes_pb2, task_pb2, tasks_pb2
from nova_proto.v1.mesh_pb2_grpc import MeshStub
from nova_proto.v1.tasks_pb2_grpc import TasksStub
from support import http2
from support.hostile import CALL_S, Ended, Target, ends, group, targets

from nova_node.adapters.grpc_settings import DETAILS_MAX_CHARS
from nova_node.adapters.wire_checks import MESSAGE_MAX_BYTES, NUMBER_MAX
from nova_node.core.model import PROTOCOL
from nova_node.core.policy import METHODS, Right
from nova_node.server.session import ANSWERS_MAX

STATUS = "/nova.v1.Nodes/Status"
SUBMIT = "/nova.v1.Tasks/Submit"
GET = "/nova.v1.Tasks/Get"
LIST = "/nova.v1.Tasks/List"
WATCH = "/nova.v1.Tasks/Watch"
SESSION = "/nova.v1.Tasks/Session"
PUT = "/nova.v1.Blobs/Put"
BLOB = "/nova.v1.Blobs/Get"
DRAIN = "/nova.v1.Nodes/Drain"
SYNC = "/nova.v1.Mesh/Sync"
WORK = "/nova.v1.Mesh/Work"

INVALID_ARGUMENT, RESOURCE_EXHAUSTED = 3, 8
MIB = 1 << 20
BOMB_BYTES = 1 << 30
BOMB_GROWTH_BYTES = 30 * MIB
WATCH_MAX = 200
CUT_S = 6.0
"""A connection that does not get on is closed within 2 s; the rest is a busy machine."""

INVALID = (grpc.StatusCode.INVALID_ARGUMENT, "invalid_argument")
NAN, INF = float("nan"), float("inf")

NAMES = {
    "empty": "",
    "1 MB": "x" * 1_000_000,
    "above": "../up",
    "nul": "a\x00b",
    "newline": "a\nb",
    "right to left": "a\u202egpj",
    "escape": "\x1b[2J\x1b]0;title\x07",
    "markup": "[bold]x[/bold]",
}


@pytest.fixture(scope="module", params=["local", "identity"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    options = ("--set", f"queues.watch_max={WATCH_MAX}")
    yield from targets(tmp_path_factory.mktemp(request.param), request.param, options)


@pytest.fixture
def target(served: Target) -> Iterator[Target]:
    """After each test the node is well."""
    yield served
    served.check_well()


def sent(channel: Any, method: str, *requests: bytes) -> Any:
    """Any method, called with these bytes."""
    return channel.stream_stream(method)(iter(requests), timeout=CALL_S)


def refused(ended: Ended) -> None:
    """With a fix, and nothing of what came in that a terminal would obey."""
    assert (ended.status, ended.code) == INVALID, ended
    assert ended.fix
    for text in (ended.message, ended.fix, ended.details):
        assert text.replace("\n", " ").isprintable()
    assert len(ended.details) <= DETAILS_MAX_CHARS


# ------------------------------------------------------------ sizes


@pytest.mark.parametrize("method", [SUBMIT, SESSION, PUT])
def test_a_message_one_byte_over_the_limit(target: Target, method: str) -> None:
    with target.channel() as channel:
        found = ends(sent(channel, method, bytes(MESSAGE_MAX_BYTES + 1)))
        assert found.status is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert str(MESSAGE_MAX_BYTES) in found.details
        # it came through at the limit, and is read: of a tag 0 there is none
        refused(ends(sent(channel, method, bytes(MESSAGE_MAX_BYTES))))


@cache
def bomb() -> bytes:
    """1 GiB of zeros, as gzip."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    pieces = [deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)]
    # after a full flush nothing refers to what was before: each further MiB looks the same
    pieces *= BOMB_BYTES // MIB
    checksum = 0
    for _ in pieces:
        checksum = zlib.crc32(bytes(MIB), checksum)
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    return b"".join([head, *pieces, deflate.flush(), struct.pack("<II", checksum, BOMB_BYTES)])


@pytest.mark.parametrize("method", [SUBMIT, SESSION])
def test_a_gzip_bomb(target: Target, method: str) -> None:
    with target.raw() as raw:
        before = target.rss_bytes()
        headers = [*target.headers(), ("grpc-encoding", "gzip"), ("grpc-timeout", "20S")]
        stream = raw.open(method, headers)
        raw.send(stream, http2.message(bomb(), compressed=True), end=True)
        assert raw.status(stream) == RESOURCE_EXHAUSTED
        assert target.rss_bytes() - before < BOMB_GROWTH_BYTES


@pytest.mark.parametrize("settled", [True, False])
def test_20_kb_of_metadata(target: Target, settled: bool) -> None:
    """Also of a caller that does not agree to the node's limits, for as long as it is heard."""
    with target.raw() as raw:
        if settled:
            raw.settle()
        wanted = RESOURCE_EXHAUSTED if settled else INVALID_ARGUMENT
        for size, status in ((20_000, wanted), (2_000, 0)):
            headers = [*target.headers(), ("grpc-timeout", "20S"), ("padding", "x" * size)]
            stream = raw.open(STATUS, headers)
            raw.send(stream, http2.message(b""), end=True)
            assert raw.status(stream) == status


def test_who_does_not_agree_to_limits_is_cut_off(target: Target) -> None:
    with target.raw() as raw:
        began = time.monotonic()
        raw.hear_out()
        assert time.monotonic() - began < CUT_S


# ------------------------------------------------------------ deadlines


def unary_methods() -> list[str]:
    pool: Any = descriptor_pool.Default()  # pyright: ignore[reportUnknownMemberType]
    assert health_pb2.DESCRIPTOR
    assert reflection_pb2.DESCRIPTOR
    found: list[str] = []
    for method, right in METHODS.items():
        service, _, name = method[1:].rpartition("/")
        about = pool.FindServiceByName(service).methods_by_name[name]
        if right is not Right.JOIN and not (about.client_streaming or about.server_streaming):
            found.append(method)
    return found


@pytest.mark.parametrize("timeout_s", [None, 1e9], ids=["none", "huge"])
def test_a_unary_call_without_a_deadline(target: Target, timeout_s: float | None) -> None:
    """Of each method, before it does anything: Drain too."""
    assert len(unary_methods()) > 15
    for peer in (False, True):
        with target.channel(peer) as channel:
            for method in unary_methods():
                if (METHODS[method] is Right.PEER) is not peer or (
                    method.startswith("/nova.v1.Identity/") and target.admin is None
                ):
                    continue
                call = channel.unary_unary(method)
                found = ends(lambda call=call: call(b"", timeout=timeout_s))
                refused(found)
                assert "deadline" in found.message, method
                assert "timeout=" in found.fix


@pytest.mark.parametrize("timeout", ["-5S", "99999999H", "1", "S", "0n", "1e3S", "x" * 100])
def test_a_deadline_that_is_none(target: Target, timeout: str) -> None:
    with target.raw() as raw:
        stream = raw.open(STATUS, [*target.headers(), ("grpc-timeout", timeout)])
        raw.send(stream, http2.message(b""), end=True)
        assert raw.status(stream) != 0


def test_streams_may_be_open_ended(target: Target) -> None:
    with target.channel() as channel:
        call = channel.unary_stream(WATCH)(b"")
        assert call.initial_metadata() is not None
        call.cancel()


# ------------------------------------------------------------ those who do not read


def granted(raw: http2.Connection, stream: int) -> None:
    raw.grant(stream, 1 << 30)


def test_a_watcher_that_never_reads(target: Target) -> None:
    """It costs no more than its backlog, and is told when it reads after all."""
    with target.raw(window=0) as raw, target.channel() as channel:
        streams = [raw.open(WATCH, target.headers()) for _ in range(20)]
        for stream in streams:
            raw.send(stream, http2.message(b""), end=True)
        target.check_well()
        before = target.rss_bytes()
        for _ in range(WATCH_MAX):
            target.run(channel, group("core.noop", b"", durability=task_pb2.VOLATILE))
        assert target.rss_bytes() - before < BOMB_GROWTH_BYTES
        granted(raw, streams[0])
        assert raw.status(streams[0]) == RESOURCE_EXHAUSTED


def test_a_session_that_never_reads(target: Target) -> None:
    """It is not read from either, and gets each answer in the end."""
    count = 3 * ANSWERS_MAX
    with target.raw(window=0) as raw:
        stream = raw.open(SESSION, target.headers())
        for number in range(count):
            submit = tasks_pb2.SubmitRequest(request_id=f"r{number}")
            request = tasks_pb2.SessionRequest(submit=submit).SerializeToString()
            raw.send(stream, http2.message(request))
        granted(raw, stream)
        answers: list[str] = []
        while len(answers) < count:
            ((reply,), _) = raw.messages(stream, 1)
            said = tasks_pb2.SessionReply.FromString(reply)
            assert len(said.refused) <= ANSWERS_MAX
            answers += [each.request_id for each in said.refused]
        assert answers == [f"r{number}" for number in range(count)]


def test_a_blob_that_is_never_read(target: Target) -> None:
    with target.channel() as channel:
        pieces = [blobs_pb2.PutRequest(data=bytes(MIB)).SerializeToString()] * 16
        (put,) = sent(channel, PUT, *pieces)
    ask = blobs_pb2.GetBlobRequest(id=task_pb2.BlobRef.FromString(put).id).SerializeToString()
    with target.raw(window=0) as raw:
        before = target.rss_bytes()
        streams = [raw.open(BLOB, target.headers()) for _ in range(10)]
        for stream in streams:
            raw.send(stream, http2.message(ask), end=True)
        target.check_well()
        # of 160 MiB
        assert target.rss_bytes() - before < BOMB_GROWTH_BYTES


# ------------------------------------------------------------ those who say nothing, or little


def test_one_byte_a_second(target: Target) -> None:
    """Before it is a connection: closed. As one: it keeps nobody up."""
    drips = [target.plain() for _ in range(4)]
    with target.raw() as established:
        established.settle()
        end = time.monotonic() + CUT_S
        for at, byte in enumerate(http2.PREFACE):
            established.drip(b"\x00")
            for drip in drips:
                with suppress(OSError):
                    drip.send(bytes([byte]))
            target.check_well()
            if all(closed(drip) for drip in drips):
                break
            assert time.monotonic() < end, f"{at} bytes were waited for"
            time.sleep(1.0)
    for drip in drips:
        drip.close()


def closed(plain: socket.socket) -> bool:
    plain.setblocking(False)
    try:
        while plain.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def test_open_streams_that_say_nothing(target: Target) -> None:
    """Nor do those that begin to say something: uploads have threads that wait for them."""
    begun = http2.message(blobs_pb2.PutRequest(data=b"x").SerializeToString())
    hello = mesh_pb2.WorkRequest(hello=mesh_pb2.Hello(owner="liar")).SerializeToString()
    with target.raw() as raw:
        for method in (SESSION, PUT, WORK, WATCH):
            for _ in range(100):
                stream = raw.open(method, target.headers())
                if method == PUT:
                    raw.send(stream, begun)
                elif method == WORK:
                    raw.send(stream, http2.message(hello)[:-1])
        target.check_well()
    target.check_well()


# ------------------------------------------------------------ encoding

DEEP = 10_000
UNREADABLE = {
    "truncated": b"\x0a\xff",
    "of another type": b"\x08\x01\x0a\x02\xff\xfe",
    "no utf-8": b"\x0a\x02\xff\xfe",
    "tag 0": b"\x00",
    "a varint without end": b"\x08" + b"\xff" * 100,
    "deep": b"\x0b" * DEEP + b"\x0c" * DEEP,
    "deep without end": b"\x0b" * DEEP,
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
@pytest.mark.parametrize("method", [GET, SUBMIT, SESSION])
def test_what_is_no_message(target: Target, method: str, data: bytes) -> None:
    with target.channel() as channel:
        refused(ends(sent(channel, method, data)))


def test_fields_that_are_not_known_are_passed_over(target: Target) -> None:
    """So a newer client may talk to an older node."""
    unknown = b"\xfa\x3f\x03new" + b"\xf8\x3f\x01"
    with target.channel() as channel:
        request = target.submit(group("core.noop", b"")).SerializeToString()
        (reply,) = sent(channel, SUBMIT, request + unknown)
        assert tasks_pb2.SubmitReply.FromString(reply).count == 1


ARGS = {
    "deep": b'{"data":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"data":' * DEEP + b"1" + b"}" * DEEP,
    "nan": b'{"data":NaN}',
    "infinity": b'{"data":Infinity}',
    "-infinity": b'{"data":-Infinity}',
    "5,000 digits": b'{"data":' + b"9" * 5_000 + b"}",
    "truncated": b'{"data":',
    "no object": b"[1]",
    "no utf-8": b'{"data":"\xff"}',
    "raw control": b'{"data":"\x00"}',
    "a pickle": pickle.dumps({"data": 1}),
}
READ = {
    "the last of two": (b'{"data":1,"data":2}', b"2"),
    "a lone surrogate": (b'{"data":"\\ud800"}', b'"\\ud800"'),
    "nul": (b'{"data":"\\u0000"}', b'"\\u0000"'),
}


def test_arguments_that_are_not_json(target: Target) -> None:
    with target.channel() as channel:
        for name, view in zip(
            ARGS, target.run(channel, group("core.echo", *ARGS.values())), strict=True
        ):
            assert (view.status, view.error.code) == (task_pb2.FAILED, "invalid_argument"), name
            assert view.error.fix
            assert len(view.attempts) == 1, name


def test_arguments_that_are_odd_json(target: Target) -> None:
    """Of a name given twice the last counts: docs/grpc-clients.md."""
    with target.channel() as channel:
        views = target.run(channel, group("core.echo", *(args for args, _ in READ.values())))
        for (name, (_, value)), view in zip(READ.items(), views, strict=True):
            assert (view.status, view.value.json) == (task_pb2.DONE, value), name
        (far,) = target.run(channel, group("core.echo", b'{"data":1e999}'))
        assert (far.status, far.error.code) == (task_pb2.FAILED, "bad_result")


@pytest.mark.parametrize("number", [NAN, INF, -INF, -1.0])
def test_seconds_that_are_none(target: Target, number: float) -> None:
    series = metrics_pb2.SeriesRequest
    wrong: list[tuple[str, Any]] = [
        (DRAIN, nodes_pb2.DrainRequest(timeout_s=number)),
        (SUBMIT, target.submit(group("core.noop", b"", deadline_s=number))),
        (SUBMIT, target.submit(group("core.noop", b"", limits={"wall_s": number}))),
        ("/nova.v1.Metrics/Stats", metrics_pb2.StatsRequest(begin=number)),
        ("/nova.v1.Metrics/Stats", metrics_pb2.StatsRequest(end=number)),
        ("/nova.v1.Metrics/Series", series(series="lag", end=number)),
        ("/nova.v1.Metrics/Series", series(series="lag", begin=number)),
        ("/nova.v1.Metrics/Series", series(series="lag", step_s=number)),
    ]
    with target.channel() as channel:
        for method, request in wrong:
            refused(ends(sent(channel, method, request.SerializeToString())))


def test_enum_values_that_are_not_known(target: Target) -> None:
    member = mesh_pb2.Member(node="liar", name="x", address="127.0.0.1:1", mesh=target.mesh.name)
    sync = mesh_pb2.SyncRequest(mesh=target.mesh.name, sender=member)
    sync.sender.state = 99  # pyright: ignore[reportAttributeAccessIssue]
    with target.channel() as channel, target.channel(peer=True) as peer:
        demand = target.submit(group("core.noop", b"", durability=99)).SerializeToString()
        refused(ends(sent(channel, SUBMIT, demand)))
        refused(ends(sent(channel, PUT, b"\x10\x63")))
        refused(ends(sent(peer, SYNC, sync.SerializeToString())))
        (reply,) = sent(
            channel, LIST, tasks_pb2.ListRequest.FromString(b"\x08\x63").SerializeToString()
        )
        assert not tasks_pb2.ListReply.FromString(reply).tasks


# ------------------------------------------------------------ values


@pytest.mark.parametrize("tag", [b"\x28", b"\x30"], ids=["priority", "max_attempts"])
def test_numbers_below_zero(target: Target, tag: bytes) -> None:
    """As a client in a language without unsigned numbers writes them."""
    below = tag + b"\xff" * 9 + b"\x01"
    demand = task_pb2.Demand.FromString(b"\x0a\x09core.noop" + below)
    with target.channel() as channel:
        request = target.submit(task_pb2.Group(demand=demand, calls=[task_pb2.Call()]))
        refused(ends(sent(channel, SUBMIT, request.SerializeToString())))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_that_are_none(target: Target, name: str) -> None:
    noop = group("core.noop", b"")
    tag = target.node.id[:8]
    digits = "9" * max(5_000, len(name))
    wrong: list[tuple[str, Any]] = [
        (SUBMIT, target.submit(noop, request_id=name)),
        (SUBMIT, target.submit(group(name, b""))),
        (SUBMIT, target.submit(group("core.noop", b"", version=name + "\n"))),
        (SUBMIT, target.submit(group("core.noop", b"", labels={name + "\n": "x"}))),
        (SUBMIT, target.submit(group("core.noop", b"", secrets={name + "-": "env:X"}))),
        (GET, tasks_pb2.GetRequest(id=name)),
        (GET, tasks_pb2.GetRequest(id=f"{tag}-{name}")),
        (GET, tasks_pb2.GetRequest(id=f"{tag}-{digits}")),
        ("/nova.v1.Tasks/Cancel", tasks_pb2.CancelRequest(id=f"{tag}-{digits}")),
        ("/nova.v1.Tasks/Explain", tasks_pb2.ExplainRequest(id=f"{tag}-{digits}")),
        ("/nova.v1.Tasks/Logs", tasks_pb2.LogsRequest(id=f"{tag}-{digits}")),
        (BLOB, blobs_pb2.GetBlobRequest(id=name)),
        ("/nova.v1.Metrics/Series", metrics_pb2.SeriesRequest(series=name)),
    ]
    with target.channel() as channel:
        for method, request in wrong:
            refused(ends(sent(channel, method, request.SerializeToString())))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_owners_that_are_none(target: Target, name: str) -> None:
    for hello in (
        mesh_pb2.Hello(owner=name, mesh=target.mesh.name, protocol=PROTOCOL),
        mesh_pb2.Hello(owner="liar", mesh=name, protocol=PROTOCOL),
    ):
        with target.channel(peer=True) as channel:
            request = mesh_pb2.WorkRequest(hello=hello).SerializeToString()
            found = ends(sent(channel, WORK, request))
            assert found.code in ("invalid_argument", "refused", "forbidden")
            assert len(found.details) <= DETAILS_MAX_CHARS
            assert found.message.replace("\n", " ").isprintable()
            assert found.details.replace("\n", " ").isprintable()


def test_the_same_id_twice_is_one_batch(target: Target) -> None:
    with target.channel() as channel:
        tasks: Any = TasksStub(channel)
        first = tasks.Submit(
            target.submit(group("core.noop", b""), request_id="twice"), timeout=CALL_S
        )
        again = target.submit(group("core.sleep", b"", b""), request_id="twice")
        assert tasks.Submit(again, timeout=CALL_S) == first


@pytest.mark.parametrize("pieces", [0, -1, 1_000_000], ids=["nothing", "for ever", "a million"])
def test_a_split_that_yields(target: Target, pieces: int) -> None:
    with target.channel() as channel:
        (view,) = target.run(channel, group("hostile.split", b'{"pieces":%d}' % pieces))
        assert (view.status, view.error.code) == (task_pb2.FAILED, "bad_split")


# ------------------------------------------------------------ gossip


def test_an_incarnation_from_the_future(target: Target) -> None:
    """A node is not driven to the end of its numbers by what others say of it."""
    far = NUMBER_MAX - 1
    liar = mesh_pb2.Member(
        node="liar", name="liar", address="127.0.0.1:1", mesh=target.mesh.name, protocol=PROTOCOL
    )
    with target.channel(peer=True) as channel:
        mesh: Any = MeshStub(channel)
        for state in (mesh_pb2.ALIVE, mesh_pb2.SUSPECT, mesh_pb2.DEAD):
            lie = mesh_pb2.Member()
            lie.CopyFrom(liar)
            lie.node, lie.state, lie.incarnation = target.node.id, state, far
            sync = mesh_pb2.SyncRequest(mesh=target.mesh.name, sender=liar, members=[lie])
            reply = mesh.Sync(sync, timeout=CALL_S)
            (own,) = [m for m in reply.members if m.node == target.node.id]
            assert own.incarnation < 100
            assert own.state == mesh_pb2.ALIVE
