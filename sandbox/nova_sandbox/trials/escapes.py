"""Programs that want out, up, or at the runner."""

from __future__ import annotations

from nova_sandbox.events import Status
from nova_sandbox.trials.trial import METERS, Trial

TRIALS = (
    Trial(
        "reach the network",
        METERS
        + """
import socket
def reach(address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as connection:
        connection.settimeout(1)
        connection.connect((address, 80))
for address in ("192.0.2.1", "169.254.169.254", "172.17.0.1", "10.0.0.1", "2001:db8::1"):
    met(address, reach, address)
try:
    socket.getaddrinfo("name.example", 80)
except socket.gaierror:
    print("names are not resolved")
print(open("/proc/net/dev").read().count(":"), "interface")
""",
        Status.OK,
        (
            *(f"{a} E(NETUNREACH|ADDRNOTAVAIL)" for a in ("192.0.2.1", "169.254.169.254")),
            *(f"{a} E(NETUNREACH|ADDRNOTAVAIL)" for a in ("172.17.0.1", "10.0.0.1", "2001:db8::1")),
            "names are not resolved",
            "1 interface",
        ),
    ),
    Trial(
        "sockets that are not for it",
        METERS
        + """
import socket
met("raw", socket.socket, socket.AF_INET, socket.SOCK_RAW, 1)
met("packet", socket.socket, 17, socket.SOCK_RAW, 3)
met("netlink", socket.socket, 16, socket.SOCK_RAW)
met("vsock", socket.socket, 40, socket.SOCK_STREAM)
met("alg", socket.socket, 38, socket.SOCK_SEQPACKET)
met("unix", socket.socket, socket.AF_UNIX, socket.SOCK_STREAM)
""",
        Status.OK,
        (
            "raw EPERM",
            "packet EPERM",
            "netlink EPERM",
            "vsock EPERM",
            "alg EPERM",
            "unix nothing",
        ),
    ),
    Trial(
        "namespaces and mounts",
        METERS
        + """
import struct
for bit in (0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000):
    met(f"unshare {bit:x}", libc.unshare, bit)
met("clone", libc.syscall, 56, 0x10000000 | 17, 0, 0, 0, 0)
met("clone3", libc.syscall, 435, struct.pack("11Q", 0x10000000, *[0] * 10), 88)
met("mount", libc.mount, b"none", b"/tmp", b"tmpfs", 0, None)
met("umount", libc.umount2, b"/tmp", 0)
met("pivot_root", libc.syscall, 155, b"/tmp", b"/tmp")
met("chroot", libc.chroot, b"/tmp")
met("setns", libc.setns, os.open("/proc/self/ns/net", os.O_RDONLY), 0)
met("mknod", os.mknod, "/tmp/disk", 0o60666, os.makedev(8, 0))
met("kexec", libc.syscall, 246, 0, 0, 0, 0)
met("reboot", libc.reboot, 0x01234567)
met("module", libc.syscall, 175, 0, 0, 0)
met("clock", libc.syscall, 227, 0, struct.pack("qq", 0, 0))
met("dmesg", libc.klogctl, 3, None, 0)
""",
        Status.OK,
        (
            *(
                f"unshare {b} EPERM"
                for b in ("10000000", "20000", "40000000", "20000000", "8000000")
            ),
            *("clone EPERM", "clone3 ENOSYS", "mount EPERM", "pivot_root EPERM", "chroot EPERM"),
            *("setns EPERM", "mknod EPERM", "kexec EPERM", "reboot EPERM", "module EPERM"),
            *("umount EPERM", "clock EPERM", "dmesg EPERM"),
        ),
    ),
    Trial(
        "system calls with a history",
        METERS
        + """
import platform
zeros = bytes(256)
numbers = dict(ptrace=101, process_vm_readv=310, process_vm_writev=311, personality=135,
    modify_ldt=154, vmsplice=278, io_uring_setup=425, userfaultfd=323, bpf=321,
    perf_event_open=298, keyctl=250, add_key=248, request_key=249, memfd_create=319,
    open_by_handle_at=304, name_to_handle_at=303, kcmp=312, pidfd_getfd=438, fanotify_init=300,
    move_pages=279, mbind=237, fsopen=430, landlock_create_ruleset=444, io_setup=206)
if platform.machine() == "x86_64":
    for name, number in numbers.items():
        met(name, libc.syscall, number, 0, zeros, 0, 0, 0)
""",
        Status.OK,
        tuple(
            f"{name} EPERM"
            for name in (
                *("ptrace", "process_vm_readv", "process_vm_writev", "personality", "modify_ldt"),
                *("vmsplice", "io_uring_setup", "userfaultfd", "bpf", "perf_event_open", "keyctl"),
                *("add_key", "request_key", "memfd_create", "open_by_handle_at", "kcmp"),
                *("pidfd_getfd", "fsopen", "io_setup"),
            )
        ),
    ),
    Trial(
        "write where the machine is configured",
        METERS
        + """
def write(path):
    with open(path, "w") as file:
        file.write("1")
for path in ("/written", "/etc/passwd", "/usr/local/bin/python3", "/proc/sys/kernel/core_pattern",
             "/proc/sysrq-trigger", "/sys/fs/cgroup/memory/memory.limit_in_bytes",
             "/proc/1/oom_score_adj", "/sys/kernel/mm/ksm/run"):
    met(path, write, path)
""",
        Status.OK,
        (
            "/written EROFS",
            "/etc/passwd (EROFS|EACCES)",
            "python3 (EROFS|EACCES)",
            "core_pattern (EROFS|EACCES)",
            "sysrq-trigger (EROFS|EACCES|ENOENT)",
            "limit_in_bytes (EROFS|EACCES|ENOENT)",
            "oom_score_adj (EROFS|EACCES)",
            "ksm/run (EROFS|EACCES|ENOENT)",
        ),
    ),
    Trial(
        "look for secrets",
        """
import os
for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/secrets", "/root", "/home",
             "/etc/shadow", "/proc/1/environ", "/proc/1/mem", "/proc/1/fd", "/proc/kcore",
             "/proc/keys", "/.dockerenv.secret", "/var/run/secrets"):
    try:
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
        print("found", path, os.path.isdir(path) and os.listdir(path))
    except OSError:
        pass
print(sorted(os.environ))
print("mounts of the host", [l for l in open("/proc/self/mountinfo") if " /host" in l])
print("done")
""",
        Status.OK,
        ("done", r"\['HOME', 'LANG', 'NOVA_OUT', 'PATH'\]", r"mounts of the host \[\]"),
    ),
    Trial(
        "become root",
        METERS
        + """
import shutil, subprocess
met("setuid", os.setuid, 0)
met("setgid", os.setgid, 0)
met("setgroups", os.setgroups, [0])
met("capset", libc.syscall, 126, (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[~0] * 6))
met("nice", os.nice, -5)
met("realtime", os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
shutil.copy("/bin/sh", "/tmp/sh")
os.chmod("/tmp/sh", 0o4755)
met("copied shell", os.execv, "/tmp/sh", ["sh", "-c", "id"])
found = subprocess.run("find / -xdev -perm -4000 2>/dev/null", shell=True, capture_output=True)
print("setuid programs", found.stdout)
print(os.getresuid())
""",
        Status.OK,
        (
            *("setuid EPERM", "setgid EPERM", "setgroups EPERM", "capset EPERM", "realtime EPERM"),
            *("nice (EACCES|EPERM)", "copied shell EACCES", r"setuid programs b''"),
            r"\(65534, 65534, 65534\)",
        ),
    ),
    Trial(
        "execute from /tmp and /out and /dev/shm",
        METERS
        + """
for folder in ("/tmp", "/out", "/dev/shm"):
    path = folder + "/program"
    with open(path, "w") as file:
        file.write("#!/bin/sh\\n")
    os.chmod(path, 0o755)
    met(folder, os.execv, path, [path])
    os.unlink(path)
""",
        Status.OK,
        ("/tmp EACCES", "/out EACCES", "/dev/shm EACCES"),
    ),
    Trial(
        "kill the runner",
        """
import os, signal
for number in range(1, 65):
    try:
        os.kill(1, number)
    except OSError:
        pass
try:
    os.kill(-1, signal.SIGKILL)
except ProcessLookupError:
    print("still here")
""",
        Status.OK,
        ("still here",),
    ),
    Trial(
        "forge a result",
        METERS
        + """
import json, struct
said = json.dumps({"status": "ok", "message": "", "traceback": "", "exit_code": 0,
    "wall_s": 0, "cpu_s": 0, "peak_bytes": 0}).encode()
frame = struct.pack(">I16sc", len(said), bytes(16), b"S") + said
def write(path):
    with open(path, "wb", buffering=0) as file:
        file.write(frame)
met("the runner's stdout", write, "/proc/1/fd/1")
met("the runner's memory", write, "/proc/1/mem")
os.write(1, frame)
for fd in range(3, 64):
    try:
        os.write(fd, frame)
    except OSError:
        pass
os._exit(7)
""",
        Status.ERROR,
        ("stdout EACCES", "memory EACCES"),
    ),
)
