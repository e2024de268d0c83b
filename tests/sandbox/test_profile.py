"""What every container is asked for, and that a missing piece is seen from inside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from nova_sandbox import profile
from nova_sandbox.limits import Limits, Tier

LIMITS = Limits()
CONFIG = profile.container_config("sha256:1", LIMITS, "runc", {"a": "b"})
HOST: dict[str, Any] = CONFIG["HostConfig"]
SHUT = "rw,nosuid,nodev,noexec,relatime"
SEEN: dict[str, Any] = {
    "pid": 1,
    "uid": 65534,
    "capabilities": "0" * 32,
    "no_new_privileges": "1",
    "seccomp": "2",
    "interfaces": ["lo"],
    "mounts": {"/": "ro,relatime", "/tmp": SHUT, "/out": SHUT},
    "open_files": LIMITS.open_files,
    "core_bytes": 0,
}


def test_every_door_is_shut() -> None:
    assert CONFIG["User"] == "65534:65534"
    assert CONFIG["Env"] == []
    assert CONFIG["Labels"] == {"a": "b"}
    assert HOST["NetworkMode"] == "none"
    assert HOST["ReadonlyRootfs"] is True
    assert HOST["CapDrop"] == ["ALL"]
    assert HOST["MemorySwap"] == HOST["Memory"] == LIMITS.memory_bytes
    assert HOST["PidsLimit"] == LIMITS.pids
    assert HOST["IpcMode"] == "private"
    assert HOST["LogConfig"] == {"Type": "none"}
    assert "no-new-privileges:true" in HOST["SecurityOpt"]
    assert not {"Binds", "Mounts", "PortBindings", "Devices", "Privileged"} & HOST.keys()


def test_no_argument_is_longer_than_the_kernel_takes() -> None:
    assert len(profile.runner_source().encode()) < 100_000


def test_system_calls_are_allowed_by_name_and_none_of_the_dangerous() -> None:
    rules = json.loads(profile.source("seccomp.json"))
    assert rules["defaultAction"] == "SCMP_ACT_ERRNO"
    plain = {n for r in rules["syscalls"] if not r.get("args") for n in r["names"]}
    allowed = {n for r in rules["syscalls"] if r["action"] == "SCMP_ACT_ALLOW" for n in r["names"]}
    assert not allowed & {
        *("ptrace", "process_vm_readv", "process_vm_writev", "personality", "modify_ldt"),
        *("vmsplice", "io_uring_setup", "io_uring_enter", "userfaultfd", "bpf", "keyctl"),
        *("perf_event_open", "mount", "unshare", "setns", "kexec_load", "reboot", "clone3"),
    }
    assert not plain & {"socket", "clone", "mknod", "mknodat"}
    families = [r["args"][0]["value"] for r in rules["syscalls"] if r["names"] == ["socket"]]
    assert families == [1, 2, 10]


def test_a_whole_profile_has_no_fault() -> None:
    assert profile.faults(SEEN, LIMITS, Tier.TRUSTED) == []


@pytest.mark.parametrize(
    "change",
    [
        {"pid": 7},
        {"uid": 0},
        {"capabilities": "00000000a80425fb"},
        {"no_new_privileges": "0"},
        {"seccomp": "0"},
        {"interfaces": ["lo", "eth0"]},
        {"mounts": {**SEEN["mounts"], "/": "rw"}},
        {"mounts": {**SEEN["mounts"], "/tmp": "rw,nosuid,nodev"}},
        {"mounts": {}},
        {"mounts": {**SEEN["mounts"], "/data": "rw,relatime"}},
        {"open_files": 1 << 20},
        {"core_bytes": -1},
    ],
)
def test_what_is_missing_is_named(change: dict[str, Any]) -> None:
    assert profile.faults({**SEEN, **change}, LIMITS, Tier.TRUSTED)


def test_a_runner_that_says_nothing_has_every_fault() -> None:
    assert len(profile.faults({}, LIMITS, Tier.TRUSTED)) == 11


def test_gvisor_filters_system_calls_by_itself() -> None:
    assert profile.faults({**SEEN, "seccomp": "0"}, LIMITS, Tier.UNTRUSTED) == []
