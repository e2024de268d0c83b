"""How a container is started: every limit and every door that is shut, in one place.

`container_config` says what the engine is asked for; `faults` compares it with what the runner sees
from inside, in every container before it is used.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, cast

from nova_sandbox.limits import Limits, Tier

NOBODY = 65534
RUNTIMES = {Tier.TRUSTED: "runc", Tier.UNTRUSTED: "runsc"}
OUT = "/out"
KNOWN_MOUNTS = {"/", "/tmp", OUT, "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}
KERNEL_FOLDERS = ("/proc", "/sys", "/dev")
SHUT_FLAGS = ("noexec", "nosuid", "nodev")


INSIDE = ("wire", "leftovers", "program", "run", "runner")
"""In the order in which they import each other."""
START = """
import sys, types
for name in ("nova_sandbox", "nova_sandbox.inside"):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
for name, text in {sources!r}:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, "<inside>", "exec"), module.__dict__)
module.main()
"""


@cache
def source(name: str) -> str:
    return (files("nova_sandbox") / name).read_text()


@cache
def runner_source() -> str:
    """The package `inside` as one text, for `python3 -c` in any image: nothing is to be installed."""
    sources = [(f"nova_sandbox.inside.{name}", source(f"inside/{name}.py")) for name in INSIDE]
    return START.format(sources=sources)


def container_config(
    image_id: str, limits: Limits, runtime: str, labels: dict[str, str]
) -> dict[str, Any]:
    """The engine's `POST /containers/create`."""
    return {
        "Image": image_id,
        "Entrypoint": ["python3", "-I", "-c", runner_source()],
        "Cmd": [OUT],
        "Env": [],
        "User": f"{NOBODY}:{NOBODY}",
        "WorkingDir": "/tmp",
        "Hostname": "sandbox",
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "StopSignal": "SIGKILL",  # an engine that shuts down would wait for it otherwise
        "StopTimeout": 0,
        "NetworkDisabled": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": labels,
        "HostConfig": host_config(limits, runtime),
    }


def host_config(limits: Limits, runtime: str) -> dict[str, Any]:
    tmpfs = f"rw,noexec,nosuid,nodev,size={limits.tmp_bytes},nr_inodes={limits.tmp_inodes}"
    return {
        "Runtime": runtime,
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": tmpfs + ",mode=1777", OUT: tmpfs + ",mode=1777"},
        "ShmSize": limits.shm_bytes,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true", "seccomp=" + source("seccomp.json")],
        "PidsLimit": limits.pids,
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "NanoCpus": int(limits.cpus * 1e9),
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Ulimits": [
            {"Name": "nofile", "Soft": limits.open_files, "Hard": limits.open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "LogConfig": {"Type": "none"},
        "RestartPolicy": {"Name": "no"},
        "Init": False,  # the runner is process 1 itself, and not to be killed from inside
    }


def faults(seen: dict[str, Any], limits: Limits, tier: Tier) -> list[str]:
    """What a container lacks of its profile, by what its runner sees. Empty is good.

    gVisor shows no filter of ours: it answers system calls itself, so there seccomp is not asked for.
    """
    mounts = cast(dict[str, str], seen.get("mounts", {}))
    checks = {
        "the runner is not process 1": seen.get("pid") == 1,
        f"it does not run as user {NOBODY}": seen.get("uid") == NOBODY,
        "it has capabilities": not seen.get("capabilities", "1").strip("0"),
        "it may gain privileges": seen.get("no_new_privileges") == "1",
        "no seccomp filter": tier is Tier.UNTRUSTED or seen.get("seccomp") == "2",
        "it has a network": set(seen.get("interfaces", "?")) <= {"lo"},
        "its root is writable": _has(mounts, "/", ("ro",)),
        "/tmp lets programs be executed": _has(mounts, "/tmp", SHUT_FLAGS),
        "/out lets programs be executed": _has(mounts, OUT, SHUT_FLAGS),
        "its image brings volumes": all(
            path in KNOWN_MOUNTS or path.startswith(KERNEL_FOLDERS) for path in mounts
        ),
        "no limit on open files": seen.get("open_files") == limits.open_files,
        "core dumps are on": seen.get("core_bytes") == 0,
    }
    return [fault for fault, good in checks.items() if not good]


def _has(mounts: dict[str, str], path: str, flags: tuple[str, ...]) -> bool:
    return set(flags) <= set(mounts.get(path, "").split(","))
