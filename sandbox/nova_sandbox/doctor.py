"""What is missing on this machine, and how to get it. Looks and tries, changes nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from nova_sandbox import image, lease, probe, process, profile
from nova_sandbox.container import ContainerMaker
from nova_sandbox.engine import Engine
from nova_sandbox.errors import SandboxError
from nova_sandbox.limits import Limits, Tier

Level = Literal["ok", "note", "bad"]
MIN_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """`bad` keeps the sandbox from being offered; `note` takes something away from it."""

    level: Level
    what: str
    detail: str
    fix: str = ""


async def examine(url: str = "", name: str = image.DEFAULT) -> AsyncIterator[Finding]:
    """Findings as they are made. Raises nothing."""
    yield _fallback()
    try:
        engine = Engine(url)
    except SandboxError as error:
        yield _bad("engine", error)
        return
    try:
        async for finding in _engine(engine, name):
            yield finding
    except SandboxError as error:
        yield _bad("engine", error)
    finally:
        await engine.close()


async def _engine(engine: Engine, name: str) -> AsyncIterator[Finding]:
    info = await engine.info()
    shown = (
        f"Docker {info.get('ServerVersion')} at {engine.url}, cgroup v{info.get('CgroupVersion')}"
    )
    yield Finding("ok", "engine", shown)
    for finding in (*_runtimes(info), *_support(info)):
        yield finding
    try:
        found = await image.find(engine, name)
    except SandboxError as error:
        yield _bad("image", error)
        return
    labels = " ".join(f"{k}={v}" for k, v in found.labels.items())
    size = f"{found.size_bytes / 1e6:.0f} MB"
    yield Finding("ok", "image", f"{name} is {found.id[:19]}, {size} {labels}".strip())
    try:
        for check in await probe.checks(maker(engine, found.id)):
            level: Level = "ok" if check.good else "bad"
            fix = (
                ""
                if check.good
                else "this kernel or engine does not enforce it: see docs/sandbox.md"
            )
            yield Finding(level, f"limit: {check.name}", check.detail, fix)
    except SandboxError as error:
        yield _bad("container", error)
    yield await _orphans(engine)


def maker(engine: Engine, image_id: str) -> ContainerMaker:
    """For single containers of the trusted tier, outside of a pool."""
    return ContainerMaker(
        engine, image_id, Tier.TRUSTED, "runc", Limits(), lease.new_owner(), "doctor", 120.0
    )


def _runtimes(info: dict[str, Any]) -> list[Finding]:
    findings: list[Finding] = []
    for tier, runtime in profile.RUNTIMES.items():
        what = f"tier {tier}"
        if runtime in info.get("Runtimes", {}):
            findings.append(Finding("ok", what, f"runtime {runtime}"))
        elif tier is Tier.TRUSTED:
            findings.append(Finding("bad", what, f"no runtime {runtime}", "install runc"))
        else:
            fix = "install gVisor and run `runsc install`, then restart Docker"
            findings.append(Finding("note", what, f"refused: no runtime {runtime}", fix))
    return findings


def _support(info: dict[str, Any]) -> list[Finding]:
    findings: list[Finding] = []
    if not any("seccomp" in option for option in info.get("SecurityOptions") or ()):
        fix = "use a kernel and an engine built with seccomp"
        findings.append(Finding("bad", "seccomp", "the engine does not support it", fix))
    wanted = {"MemoryLimit": "memory", "PidsLimit": "pids", "CPUCfsQuota": "cpu"}
    for key, controller in wanted.items():
        if not info.get(key, True):
            fix = f"enable the cgroup controller: boot with cgroup_enable={controller}"
            findings.append(Finding("bad", "cgroup", f"no limit on {controller}", fix))
    root = str(info.get("DockerRootDir", ""))
    if os.path.isdir(root) and (free := shutil.disk_usage(root).free) < MIN_FREE_BYTES:
        detail = f"{free / 1e6:.0f} MB free in {root}"
        findings.append(Finding("note", "disk", detail, "free some: docker system df"))
    return findings


async def _orphans(engine: Engine) -> Finding:
    orphans = 0
    me = lease.new_owner()
    for found in await engine.containers(lease.LABEL):
        orphans += lease.is_orphan(found.labels, me)
    if orphans:
        fix = "the next sandbox removes them, or now: nova-sandbox pool --reap"
        return Finding("note", "orphans", f"{orphans} containers that nobody holds", fix)
    return Finding("ok", "orphans", "none")


def _fallback() -> Finding:
    kept = "in namespaces of its own" if process.namespaces() else "without namespaces"
    return Finding(
        "note", "runtime process", f"possible, {kept}; no boundary, off unless asked for"
    )


def _bad(what: str, error: SandboxError) -> Finding:
    return Finding("bad", what, error.message, error.fix)
