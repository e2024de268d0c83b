"""Who is let in by the guard, and how often."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast
from urllib.parse import quote

import grpc
import grpc.aio
import pytest
from nova_proto.identity.names import Name

from nova_node.adapters import grpc_settings
from nova_node.core.errors import NovaError, Overloaded, Refused
from nova_node.core.policy import METHODS
from nova_node.identity.live import Identity
from nova_node.server.caller import caller
from nova_node.server.gate import LocalGate, MemberGate, Shown
from nova_node.server.guard import Guarded
from nova_node.server.rates import CALLERS_MAX, Rates

KEY = "k" * 64
ADA = Name("example", "admin", "ada")
READ = "/nova.v1.Nodes/Status"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# ------------------------------------------------------------ rates


def test_a_bucket_is_emptied_and_refills() -> None:
    clock = Clock()
    rates = Rates(clock, calls_a_second=10.0, burst=3.0)
    assert [rates.take("ada") for _ in range(4)] == [True, True, True, False]
    assert rates.take("bob")
    clock.now = 0.1
    assert [rates.take("ada") for _ in range(2)] == [True, False]
    clock.now = 100.0
    assert [rates.take("ada") for _ in range(4)] == [True, True, True, False]


def test_asking_in_vain_costs_nothing() -> None:
    clock = Clock()
    rates = Rates(clock, calls_a_second=1.0, burst=1.0)
    assert rates.take("ada")
    for tenth in range(1, 10):
        clock.now = tenth / 10
        assert not rates.take("ada")
    clock.now = 1.01
    assert rates.take("ada")


def test_buckets_are_bounded() -> None:
    rates = Rates(Clock(), burst=1.0)
    for number in range(CALLERS_MAX):
        assert rates.take(str(number))
    assert not rates.take("0")
    assert rates.take("one more")
    assert rates.take("0")  # all begin anew


# ------------------------------------------------------------ the local key


class Context:
    """As far as gates look."""

    def __init__(self, *metadata: tuple[str, str | bytes], leaf: bytes = b"") -> None:
        self._metadata = metadata
        self._leaf = leaf

    def invocation_metadata(self) -> Any:
        return self._metadata

    def auth_context(self) -> dict[str, list[bytes]]:
        return {"x509_pem_cert": [self._leaf]} if self._leaf else {}


def test_the_key_opens() -> None:
    context = Context(("user-agent", "x"), ("nova-local-key", KEY))
    assert LocalGate(KEY).enter(READ, context) == Shown(READ)


@pytest.mark.parametrize("given", ["", "K" * 64, KEY + "k", KEY[:-1], "\u00e9" * 64, b"\xff" * 64])
def test_another_key_does_not(given: str | bytes) -> None:
    for context in (Context(("nova-local-key", given)), Context()):
        with pytest.raises(Refused) as raised:
            LocalGate(KEY).enter(READ, context)
        assert raised.value.code == "unauthenticated"
        assert "local.key" in raised.value.fix


# ------------------------------------------------------------ members


class Members:
    """In the place of an Identity: the certificate is the name."""

    def __init__(self) -> None:
        self.refused: NovaError | None = None

    def check(self, leaf: bytes, rest: bytes = b"") -> Name:
        if self.refused is not None:
            raise self.refused
        role, _, id = leaf.decode().partition("/")
        return Name("example", role, id)


def gate(members: Members, clock: Callable[[], float] | None = None) -> MemberGate:
    return MemberGate(cast("Identity", members), clock or Clock())


def test_a_member_enters_by_its_role() -> None:
    shown = gate(Members()).enter(READ, Context(leaf=b"admin/ada"))
    assert (shown.name, shown.leaf) == (ADA, b"admin/ada")
    with pytest.raises(Refused) as raised:
        gate(Members()).enter("/nova.v1.Tasks/Submit", Context(leaf=b"observer/olga"))
    assert raised.value.code == "forbidden"
    assert "submit" in raised.value.message


@pytest.mark.parametrize("method", ["", "/", "/nova.v1.Nodes/Fly", READ.lower(), READ + "/"])
def test_a_method_without_a_right_is_denied(method: str) -> None:
    assert method not in METHODS
    with pytest.raises(Refused) as raised:
        gate(Members()).enter(method, Context(leaf=b"admin/ada"))
    assert raised.value.code == "forbidden"


def test_no_certificate() -> None:
    with pytest.raises(Refused) as raised:
        gate(Members()).enter(READ, Context())
    assert raised.value.code == "unauthenticated"


def test_one_caller_cannot_use_up_the_calls_of_another() -> None:
    clock = Clock()
    busy = gate(Members(), clock)

    def hurry() -> None:
        for _ in range(100_000):
            busy.enter(READ, Context(leaf=b"admin/ada"))

    with pytest.raises(Overloaded):
        hurry()
    busy.enter(READ, Context(leaf=b"admin/bob"))


# ------------------------------------------------------------ streams, through gRPC


def identity(data: bytes) -> bytes:
    return data


class Service(grpc.GenericRpcHandler):
    """One method of each kind of stream, in both ways to write them."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        kinds = {
            "/replies": grpc.unary_stream_rpc_method_handler(self.replies, identity, identity),
            "/writes": grpc.unary_stream_rpc_method_handler(self.writes, identity, identity),
            "/both": grpc.stream_stream_rpc_method_handler(self.both, identity, identity),
            "/yields": grpc.stream_stream_rpc_method_handler(self.yields, identity, identity),
            "/gathers": grpc.stream_unary_rpc_method_handler(self.gathers, identity, identity),
        }
        return kinds.get(str(handler_call_details.method))

    async def _wait(self) -> None:
        await asyncio.Event().wait()

    async def replies(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield str(caller(context)).encode()
        await self._wait()

    async def writes(self, request: bytes, context: Any) -> None:
        await context.write(b"1")
        await self._wait()

    async def both(self, requests: Any, context: Any) -> None:
        await context.write(await context.read())
        await self._wait()

    async def yields(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def gathers(self, requests: Any, context: Any) -> bytes:
        await context.read()
        await self._wait()
        return b""


class Once:
    """Lets everybody in, and nobody stay once `over`."""

    over = False

    def enter(self, method: str, context: Any) -> Shown:
        return Shown(method, ADA)

    def check(self, shown: Shown) -> None:
        if self.over:
            raise Refused("it was taken back", code="identity_revoked")


@pytest.mark.parametrize("method", ["/replies", "/writes", "/both", "/yields", "/gathers"])
def test_an_open_stream_is_ended_when_its_caller_may_not_have_it_any_more(method: str) -> None:
    async def scene() -> None:
        door, service = Once(), Service()
        server = grpc.aio.server()
        guarded = Guarded(server, door)
        guarded.add_generic_rpc_handlers([service])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as plain:
                channel: Any = plain
                if method in ("/replies", "/writes"):
                    call = channel.unary_stream(method)(b"")
                elif method == "/gathers":
                    call = channel.stream_unary(method)()
                    await call.write(b"1")
                else:
                    call = channel.stream_stream(method)()
                    await call.write(b"1")
                if method != "/gathers":
                    assert await call.read() in (b"1", str(ADA).encode())
                guarded.sweep()
                door.over = True
                while not call.done():
                    guarded.sweep()
                    await asyncio.sleep(0.01)
                assert await call.code() is grpc.StatusCode.UNAUTHENTICATED
                assert await call.details() == "it was taken back"
        finally:
            await server.stop(None)

    async def bounded() -> None:
        async with asyncio.timeout(20.0):
            await scene()

    asyncio.run(bounded())


# ------------------------------------------------------------ who does not read, and for how long


class Flood(grpc.GenericRpcHandler):
    """Streams without end, in both ways to write them; and what answers at once."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        kinds = {
            "/yields": grpc.unary_stream_rpc_method_handler(self.yields, identity, identity),
            "/writes": grpc.stream_stream_rpc_method_handler(self.writes, identity, identity),
            "/answers": grpc.unary_unary_rpc_method_handler(self.answers, identity, identity),
        }
        return kinds.get(str(handler_call_details.method))

    async def yields(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.task = asyncio.current_task()
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            self.ended.set()

    async def writes(self, requests: Any, context: Any) -> None:
        try:
            while True:
                await context.write(bytes(1 << 20))
        finally:
            self.ended.set()

    async def answers(self, request: bytes, context: Any) -> bytes:
        return request


def told(flood: Flood, scene: Callable[[Any, Guarded], Any]) -> None:
    async def bounded() -> None:
        server = grpc.aio.server()
        guarded = Guarded(server, Once(), patience_s=0.05)
        guarded.add_generic_rpc_handlers([flood])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with (
                asyncio.timeout(20.0),
                grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
            ):
                await scene(channel, guarded)
        finally:
            await server.stop(None)

    asyncio.run(bounded())


async def read_out(call: Any) -> None:
    while await call.read() is not grpc.aio.EOF:
        pass


def trailer(raised: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> str:
    return str(dict(raised.value.trailing_metadata() or ())["nova-error-bin"])


async def swept(flood: Flood, guarded: Guarded) -> None:
    while not flood.ended.is_set():
        guarded.sweep()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("method", ["/yields", "/writes"])
def test_who_does_not_read_a_stream_loses_it_and_is_told(method: str) -> None:
    flood = Flood()

    async def scene(channel: Any, guarded: Guarded) -> None:
        of = channel.unary_stream if method == "/yields" else channel.stream_stream
        call = of(method)(b"") if method == "/yields" else of(method)()
        await swept(flood, guarded)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await read_out(call)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "slow" in trailer(raised)

    told(flood, scene)


def test_who_does_not_read_the_end_either_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_settings, "END_S", 0.05)
    flood = Flood()

    async def scene(channel: Any, guarded: Guarded) -> None:
        call = channel.unary_stream("/yields")(b"")
        await swept(flood, guarded)
        assert flood.task is not None
        await asyncio.wait({flood.task})
        with pytest.raises(grpc.aio.AioRpcError):
            await read_out(call)

    told(flood, scene)


@pytest.mark.parametrize("timeout_s", [None, 1e7])
def test_a_unary_call_has_a_deadline(timeout_s: float | None) -> None:
    async def scene(channel: Any, _: Guarded) -> None:
        answers = channel.unary_unary("/answers")
        assert await answers(b"x", timeout=86_400.0) == b"x"
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await answers(b"x", timeout=timeout_s)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "timeout=" in trailer(raised)

    told(Flood(), scene)


def test_an_error_fits_into_what_a_caller_takes() -> None:
    """Whatever came in, and is told back: beyond its bounds a caller would get no error at all."""

    class Context:
        said: tuple[Any, ...] = ()

        async def abort(self, *said: Any) -> None:
            self.said = said
            raise Refused("aborted")

    async def scene() -> None:
        context = Context()
        error = Refused("\U0001f600" * 9_000 + "\x1b[2J", "\u00e9" * 9_000)
        with pytest.raises(Refused):
            await grpc_settings.abort(context, error)
        _, details, ((_, trailer),) = context.said
        assert len(quote(details)) + len(trailer) < 8_000
        assert "\x1b" not in details

    asyncio.run(scene())
