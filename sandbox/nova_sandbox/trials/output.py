"""Programs that leave behind what should not be taken."""

from __future__ import annotations

from nova_sandbox.events import Status
from nova_sandbox.trials.trial import SHORT_S, Trial

TRIALS = (
    Trial(
        "stdout flood",
        "while True:\n    print('x' * 10_000)",
        Status.OUTPUT_CAP,
        timeout_s=20.0,
    ),
    Trial(
        "one line of a gigabyte",
        "import os\nfor _ in range(16_384):\n    os.write(1, b'x' * 65_536)",
        Status.OUTPUT_CAP,
        timeout_s=20.0,
    ),
    Trial(
        "flood of stderr by many",
        "yes=$(seq 100000); for i in 1 2 3 4; do (while :; do echo $yes >&2; done) & done; wait",
        Status.OUTPUT_CAP,
        language="shell",
        timeout_s=20.0,
    ),
    Trial(
        "closes stdout and sleeps",
        "import os, time\nos.close(1)\nos.close(2)\ntime.sleep(600)",
        Status.TIMEOUT,
        timeout_s=SHORT_S,
    ),
    Trial(
        "closes every descriptor and returns",
        "import os\nos.closerange(0, 256)",
        Status.OK,
    ),
    Trial(
        "leaves a daemon that holds stdout",
        """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("left")
""",
        Status.OK,
        ("left",),
    ),
    Trial("waits on stdin", "input()", Status.ERROR, ("EOFError",)),
    Trial(
        "a link to a secret",
        "import os\nos.symlink('/etc/shadow', '/out/result')",
        Status.REFUSED,
        ("result is a link",),
    ),
    Trial(
        "a link as a folder",
        "import os\nos.symlink('/', '/out/folder')",
        Status.REFUSED,
        ("folder is a link",),
    ),
    Trial(
        "a hard link",
        "import os\nopen('/out/a', 'w').close()\nos.link('/out/a', '/out/b')",
        Status.REFUSED,
        ("hard link",),
    ),
    Trial(
        "a pipe",
        "import os\nos.mkfifo('/out/pipe')",
        Status.REFUSED,
        ("pipe is a link, device, pipe",),
    ),
    Trial(
        "a socket",
        "import socket\nsocket.socket(socket.AF_UNIX).bind('/out/socket')",
        Status.REFUSED,
        ("socket is a link, device",),
    ),
    Trial(
        "a name with terminal escapes",
        "open('/out/\\x1b[2J', 'w').close()",
        Status.REFUSED,
        ("not printable",),
    ),
    Trial(
        "a file nobody may read",
        "import os\nopen('/out/a', 'w').close()\nos.chmod('/out/a', 0)",
        Status.REFUSED,
        ("Permission denied",),
    ),
    Trial(
        "folders without end",
        "import os\nos.makedirs('/out/' + '/'.join('a' * 40))",
        Status.REFUSED,
        ("deep",),
    ),
    Trial(
        "a sparse file of a terabyte",
        "import os\nwith open('/out/a', 'w') as file:\n    os.truncate(file.fileno(), 1 << 40)",
        Status.OUTPUT_CAP,
    ),
    Trial(
        "ten thousand files",
        "for number in range(9_000):\n    open(f'/out/{number}', 'w').close()",
        Status.OUTPUT_CAP,
    ),
    Trial(
        "an archive that leaves its folder",
        """
import io, tarfile
with tarfile.open("/out/a.tar", "w") as archive:
    archive.addfile(tarfile.TarInfo("../../etc/cron.d/evil"), io.BytesIO())
""",
        Status.OK,
        files=("a.tar",),
    ),
    Trial("a result that is too large", "result = 'x' * 3_000_000", Status.OUTPUT_CAP),
    Trial("a result that is no JSON", "result = object()", Status.ERROR, ("not JSON",)),
    Trial("a result that is no number", "result = float('nan')", Status.ERROR, ("not JSON",)),
    Trial(
        "a result nested without end",
        "result = []\nfor _ in range(100_000):\n    result = [result]",
        Status.ERROR,
        ("not JSON",),
    ),
    Trial(
        "an error message of 50 MB",
        "raise ValueError('x' * 50_000_000)",
        Status.ERROR,
        ("ValueError",),
    ),
)
