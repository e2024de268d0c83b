"""The main of a worker process: takes batches of attempts from its node, one at a time.

Standard library and what `nova_node.capability` stands on only. A frame either way is two
little-endian u32, the sizes of its JSON header and of its body, then both. worker_frames is the node's
side of it.
Rule: nothing that is finished waits for what may take long.
"""

from __future__ import annotations

import array
import atexit
import fcntl
import io
import json
import math
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nova_node.adapters.worker_calls import (
    Caller,
    Done,
    Job,
    Library,
    Refusal,
    Request,
    Spool,
    failure,
)
from nova_node.adapters.worker_describe import describe
from nova_node.capability import given_secrets, given_settings
from nova_node.metrics.pools import Pool, heard_by

if TYPE_CHECKING:
    from nova_node.adapters.worker_secrets import Ears

IDLE = -1
FLUSH_NS = 1_000_000
SLOW_NS = 300_000
FLUSH_BYTES = 256 << 10
LARGE_BYTES = 64 << 10
"""From here on a copy costs more than a call of the system."""

SETTLE_S = 0.5
TEXT_LENGTH = 1 << 16

_SIZES = struct.Struct("<II")
_dump = json.JSONEncoder(separators=(",", ":")).encode


class Outbox:
    """Frames to the node. Results are gathered, output is sent as it comes."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self.sizes: list[int] = []
        self.elapsed_us: list[int] = []
        self.notes: list[Any] = []
        self.data: list[bytes] = []
        self.size = 0
        self.flushed_ns = time.monotonic_ns()

    def add(self, data: bytes, elapsed_us: int, note: dict[str, Any] | None) -> None:
        if note is not None:
            self.notes.append((len(self.sizes), note))
        self.sizes.append(len(data))
        self.elapsed_us.append(elapsed_us)
        self.data.append(data)
        self.size += len(data)

    def flush(self) -> None:
        if self.sizes:
            head = {"sizes": self.sizes, "us": self.elapsed_us, "notes": self.notes}
            self.send(head, b"".join(self.data))
            self._clear()

    def send(self, head: dict[str, Any], body: bytes = b"") -> None:
        text = _dump(head).encode()
        with self._lock:
            if len(body) < LARGE_BYTES:
                self._sock.sendall(b"".join((_SIZES.pack(len(text), len(body)), text, body)))
            else:
                self._sock.sendall(_SIZES.pack(len(text), len(body)) + text)
                self._sock.sendall(body)


class Voice(io.TextIOBase):
    """sys.stdout or sys.stderr of the author's code: lines go to the node, named by attempt."""

    def __init__(self, worker: Worker, fd: int) -> None:
        super().__init__()
        self._worker, self._fd = worker, fd
        self.held = ""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    @property
    def buffer(self) -> io.BufferedIOBase:
        return _Bytes(self)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str, /) -> int:
        self.held += text
        if len(self.held) > TEXT_LENGTH:
            self.flush()
        elif "\n" in text:
            end = self.held.rfind("\n") + 1
            ready, self.held = self.held[:end], self.held[end:]
            self._worker.say(self._fd, ready)
        return len(text)

    def flush(self) -> None:
        ready, self.held = self.held, ""
        if ready:
            self._worker.say(self._fd, ready)


class _Bytes(io.BufferedIOBase):
    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._voice.write(bytes(data).decode(errors="replace"))
        return len(data)

    def flush(self) -> None:
        self._voice.flush()


class Worker:
    def __init__(self, setup: dict[str, Any]) -> None:
        sock = socket.socket(fileno=setup["socket"])
        self._sock = sock
        self._reader = sock.makefile("rb", buffering=1 << 18)
        self._mark = memoryview(mmap.mmap(setup["mark"], 16)).cast("q")
        self._outbox = Outbox(sock)
        self._library = Library(setup["modules"])
        self._after: list[str] = setup["after"]
        self._spool = Spool(setup["spool"])
        self._call = Caller(self._spool).call
        self._ears: Ears | None = None
        self._jobs: dict[tuple[Any, ...], Job] = {}
        self._said = 0
        self._output_bytes = 0
        self._limited: tuple[float, int] = (0.0, 0)
        self._data_bytes = 0
        self.out, self.err = Voice(self, 1), Voice(self, 2)

    def serve(self) -> None:
        """Until the node closes the socket."""
        self._outbox.send({"ready": os.getpid()})
        taking_over = threading.Thread(target=self._take_over, daemon=True)
        taking_over.start()
        while len(sizes := self._reader.read(8)) == 8:
            head_size, body_size = _SIZES.unpack(sizes)
            head = json.loads(self._reader.read(head_size))
            body = self._reader.read(body_size)
            if "describe" in head:
                skip = set(head["describe"])
                modules = [each for each in self._library.modules() if each not in skip]
                describe(modules, self._outbox.send)
            else:
                self._batch(head, body)
        taking_over.join()

    def _take_over(self) -> None:
        """From a process that was killed."""
        if self._after and (clean_up := self._library.find(*self._after).after_kill):
            clean_up()

    def say(self, fd: int, text: str) -> None:
        """Past the cap the node says that it cut; it takes one byte over for that."""
        data = text.encode(errors="replace")
        self._tell(fd, self._ears.hear(fd, data) if self._ears else data)

    def _tell(self, fd: int, data: bytes) -> None:
        room = self._output_bytes + 1 - self._said
        if room > 0 and data:
            data = data[:room]
            self._said += len(data)
            self._outbox.send({"say": self._mark[0], "fd": fd}, data)

    def tell_pools(self, pools: Sequence[Pool]) -> None:
        self._outbox.send({"pools": pools})

    def _batch(self, head: dict[str, Any], body: bytes) -> None:
        jobs: list[Job | list[Any] | None] = [None] * len(head["jobs"])
        notes: dict[int, Any] = dict(head["notes"])
        outbox, mark, clock = self._outbox, self._mark, time.monotonic_ns
        at = 0
        rows = zip(head["keys"], head["of"], head["sizes"], strict=True)
        for i, (key, of, size) in enumerate(rows):
            args = body[at : at + size]
            at += size
            request = None
            if i in notes:
                phase, shards, part, items, extra, secrets = notes[i]
                held = body[at : at + extra]
                request = Request(phase, shards, part, items, held, head["paths"], secrets)
                at += extra
            job = jobs[of]
            mark[1] = started = clock()
            mark[0] = key
            if outbox.sizes and (
                job is None
                or (type(job) is Job and job.recent_ns > SLOW_NS)
                or outbox.size >= FLUSH_BYTES
                or started - outbox.flushed_ns > FLUSH_NS
            ):
                outbox.flush()
                mark[1] = started = clock()
            if job is None:
                job = jobs[of] = self._job(tuple(head["jobs"][of]))
            if type(job) is Job:
                self._one(job, args, request, started)
            else:
                outbox.add(b"", 0, {"failure": job})
        outbox.flush()
        mark[0] = IDLE

    def _one(self, job: Job, args: bytes, request: Request | None, started: int) -> None:
        self._said, self._output_bytes = 0, job.output_bytes
        if job.cpu_s or self._limited != (0.0, job.memory_bytes):
            self._limit(job)
        if request is None or not request.secrets:
            data, note = self._call(job, args, request)
        else:
            data, note = self._call_with_secrets(job, args, request, request.secrets)
        elapsed = time.monotonic_ns() - started
        job.took(elapsed)
        if self.out.held or self.err.held:
            self.out.flush()
            self.err.flush()
        if elapsed > FLUSH_NS:
            _settle()
        self._outbox.add(data, elapsed // 1000, note)

    def _call_with_secrets(
        self, job: Job, args: bytes, request: Request, secrets: dict[str, str]
    ) -> Done:
        from nova_node.adapters.worker_secrets import Ears, SecretCaller
        from nova_node.secrets.redact import Redactor

        redactor = Redactor(secrets.items())
        self._ears = ears = Ears(redactor)
        try:
            with given_secrets(secrets):
                done = SecretCaller(self._spool, redactor).call(job, args, request)
            for voice in (self.out, self.err):
                voice.flush()
                self._tell(voice.fileno(), ears.rest(voice.fileno()))
            _settle()
        finally:
            self._ears = None
        return done

    def _job(self, row: tuple[Any, ...]) -> Job | list[Any]:
        job = self._jobs.get(row)
        if job is None:
            name, version, module, cpu_s, memory, output = row
            self._said, self._output_bytes = 0, output
            try:
                found = self._library.find(name, version, module)
            except BaseException as error:
                return failure(not_loaded(name, error))
            if len(self._jobs) > 1000:
                self._jobs.clear()
            job = self._jobs[row] = Job(found, cpu_s, memory, output)
        return job

    def _limit(self, job: Job) -> None:
        """Of processor time, in whole seconds rounded up; the node watches the memory too, but
        a soft limit lets the author's code fail with a traceback."""
        self._limited = job.cpu_s, job.memory_bytes
        cpu, data = resource.RLIM_INFINITY, resource.RLIM_INFINITY
        if job.cpu_s:
            used = resource.getrusage(resource.RUSAGE_SELF)
            cpu = math.ceil(used.ru_utime + used.ru_stime + job.cpu_s)
        if job.memory_bytes:
            self._data_bytes = self._data_bytes or _data_bytes()
            data = self._data_bytes + job.memory_bytes
        for kind, soft in ((resource.RLIMIT_CPU, cpu), (resource.RLIMIT_DATA, data)):
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > hard):
                soft = hard
            resource.setrlimit(kind, (soft, hard))


def not_loaded(name: str, error: BaseException) -> BaseException:
    if isinstance(error, Refusal):
        return error
    return Refusal(
        "unavailable",
        f"{name} cannot be loaded on this node: {type(error).__name__}: {error}",
        "see the warnings of nova-node doctor",
        retryable=True,
    )


def _settle() -> None:
    """Wait until the node has read what was written to the bare file descriptors, so that it
    counts as this attempt's."""
    waiting = array.array("i", [0])
    end = time.monotonic() + SETTLE_S
    for fd in (1, 2):
        try:
            while fcntl.ioctl(fd, termios.FIONREAD, waiting) == 0 and waiting[0]:
                if time.monotonic() > end:
                    return
                time.sleep(0.0002)
        except OSError:
            continue


def _data_bytes() -> int:
    """Private writable memory of this process; 64 MiB where that cannot be told."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except (OSError, IndexError):
        return 64 << 20


def die_with(parent: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def main(setup: dict[str, Any]) -> None:
    die_with(setup["parent"])
    os.set_inheritable(setup["socket"], False)
    os.set_inheritable(setup["mark"], False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    worker = Worker(setup)
    sys.stdout, sys.stderr = worker.out, worker.err
    try:
        with given_settings(setup["settings"]), heard_by(worker.tell_pools):
            worker.serve()
            atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        os._exit(0)
