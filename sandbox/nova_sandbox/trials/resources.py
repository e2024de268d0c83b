"""Programs that take all they can get."""

from __future__ import annotations

from nova_sandbox.events import Status
from nova_sandbox.trials.trial import SHORT_S, Trial

FILL = """
import errno, os
try:
    with open({path!r}, "wb", buffering=0) as file:
        for _ in range(4096):
            if file.write(bytes(65536)) < 65536:
                raise OSError(errno.ENOSPC, "short")
except OSError as error:
    print(errno.errorcode[error.errno])
"""

TRIALS = (
    Trial(
        "fork bomb meets EAGAIN",
        """
import os, errno, signal
first = os.getpid()
try:
    while True:
        os.fork()
except OSError as error:
    if os.getpid() == first:
        print(errno.errorcode[error.errno])
    else:
        signal.pause()
""",
        Status.OK,
        ("EAGAIN",),
    ),
    Trial(
        "fork bomb that does not give up",
        """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
        Status.TIMEOUT,
        timeout_s=SHORT_S,
    ),
    Trial(
        "thread bomb",
        """
import threading, time
try:
    while True:
        threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
except RuntimeError as error:
    print(error)
""",
        Status.OK,
        ("can't start new thread",),
    ),
    Trial(
        "memory bomb",
        "held = []\nwhile True:\n    held.append(bytearray(b'x' * 10_000_000))",
        Status.OUT_OF_MEMORY,
    ),
    Trial("one allocation too large", "bytearray(1 << 50)", Status.OUT_OF_MEMORY),
    Trial(
        "memory bomb of many processes",
        """
import os, time
for _ in range(8):
    if os.fork() == 0:
        break
held = []
while True:
    held.append(bytearray(b"x" * 4_000_000))
""",
        Status.OUT_OF_MEMORY,
    ),
    Trial("fill /tmp", FILL.format(path="/tmp/large"), Status.OK, ("ENOSPC",)),
    Trial("fill /dev/shm", FILL.format(path="/dev/shm/large"), Status.OK, ("ENOSPC",)),
    Trial(
        "inode flood",
        """
import errno, os
try:
    for number in range(100_000):
        os.close(os.open(f"/tmp/{number}", os.O_CREAT))
except OSError as error:
    print(errno.errorcode[error.errno])
""",
        Status.OK,
        ("ENOSPC",),
    ),
    Trial(
        "file descriptor bomb",
        """
import errno, os
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(errno.errorcode[error.errno], len(held) < 256)
""",
        Status.OK,
        ("EMFILE True",),
    ),
    Trial(
        "busy loop that ignores SIGTERM",
        """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
""",
        Status.TIMEOUT,
        timeout_s=SHORT_S,
    ),
    Trial(
        "stops itself",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
        Status.TIMEOUT,
        timeout_s=SHORT_S,
    ),
    Trial(
        "an exit handler that hangs",
        "import atexit, time\natexit.register(time.sleep, 600)",
        Status.TIMEOUT,
        timeout_s=SHORT_S,
    ),
    Trial(
        "zip bomb",
        """
import errno, io, zipfile
packed = io.BytesIO()
with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
    with archive.open("zeros", "w", force_zip64=True) as inside:
        for _ in range(200):
            inside.write(bytes(1 << 20))
try:
    zipfile.ZipFile(packed).extractall("/tmp")
except OSError as error:
    print(errno.errorcode[error.errno])
""",
        Status.OK,
        ("ENOSPC",),
    ),
    Trial(
        "recursion until the stack ends",
        """
import sys
sys.setrecursionlimit(10**9)
def deeper(_):
    return list(map(deeper, [0]))
deeper(0)
""",
        Status.ERROR,
    ),
    Trial("reads from nowhere", "import ctypes\nctypes.string_at(0)", Status.ERROR),
    Trial(
        "a core dump",
        """
import os
pid = os.fork()
if pid == 0:
    os.abort()
print(os.WCOREDUMP(os.waitpid(pid, 0)[1]), [n for n in os.listdir("/tmp") if "core" in n])
""",
        Status.OK,
        (r"False \[\]",),
    ),
)
