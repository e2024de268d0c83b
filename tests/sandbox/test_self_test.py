"""The self-test finds each limit and door that an engine silently leaves open."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from nova_sandbox import Insecure, Sandbox, probe, profile
from nova_sandbox.doctor import examine, maker
from nova_sandbox.engine import Engine
from nova_sandbox.image import Image
from nova_sandbox.limits import Limits
from nova_sandbox.process import namespaces


async def checks(url: str, image_id: str) -> list[probe.Check]:
    engine = Engine(url)
    try:
        return await probe.checks(replace(maker(engine, image_id), node="tests"))
    finally:
        await engine.close()


def test_every_limit_bites_here(engine_url: str, image: Image) -> None:
    found = asyncio.run(checks(engine_url, image.id))
    assert len(found) == 14
    assert [check for check in found if not check.good] == []


LOOSE_TMP = "rw,nosuid,nodev,noexec,mode=1777"
LEFT_OPEN: dict[str, tuple[dict[str, Any], str]] = {
    "processes": ({"PidsLimit": 0}, "processes"),
    "memory": ({"Memory": 0, "MemorySwap": 0}, "memory"),
    "cpu": ({"NanoCpus": 0}, "cpu"),
    "root": ({"ReadonlyRootfs": False}, "root is writable"),
    "size of /tmp": ({"Tmpfs": {"/tmp": LOOSE_TMP, "/out": LOOSE_TMP}}, "fill /tmp"),
    "execution": ({"Tmpfs": {"/tmp": "rw,exec", "/out": LOOSE_TMP}}, "/tmp lets"),
    "shared memory": ({"ShmSize": 64 << 20}, "/dev/shm"),
    "network": ({"NetworkMode": "host"}, "network"),
    "capabilities": ({"CapDrop": []}, "capabilities"),
    "privileges": (
        {"SecurityOpt": ["seccomp=" + profile.source("seccomp.json")]},
        "gain privileges",
    ),
    "no filter": ({"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}, "seccomp"),
    "the engine's own filter": ({"SecurityOpt": ["no-new-privileges"]}, "vsock"),
    "open files": ({"Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}]}, "open files"),
    "core dumps": ({"Ulimits": [{"Name": "nofile", "Soft": 64, "Hard": 64}]}, "core dumps"),
}


@pytest.mark.parametrize("name", LEFT_OPEN)
def test_what_is_left_open_is_found_and_nothing_is_offered(
    name: str, engine_url: str, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, told = LEFT_OPEN[name]
    honest = profile.container_config

    def loose(
        image_id: str, limits: Limits, runtime: str, labels: dict[str, str]
    ) -> dict[str, Any]:
        config = honest(image_id, limits, runtime, labels)
        host = {**config["HostConfig"], **change}
        return {**config, "NetworkDisabled": host["NetworkMode"] == "none", "HostConfig": host}

    monkeypatch.setattr(profile, "container_config", loose)

    async def main() -> None:
        with pytest.raises(Insecure, match=told) as found:
            async with Sandbox(engine=engine_url, image=image.name):
                pass
        assert found.value.fix

    asyncio.run(main())


def test_doctor_finds_all_of_it_good(engine_url: str, image: Image) -> None:
    async def main() -> None:
        findings = [finding async for finding in examine(engine_url, image.name)]
        assert [f for f in findings if f.level == "bad"] == []
        whats = {f.what for f in findings}
        assert {"engine", "image", "tier trusted", "tier untrusted", "limit: memory"} <= whats
        assert all(f.fix for f in findings if f.what == "tier untrusted" and f.level == "note")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("url", "name", "what", "fix"),
    [
        ("unix:///nowhere/socket", "host", "engine", "install Docker"),
        ("tcp://127.0.0.1:1", "host", "engine", "unix://"),
        ("", "missing", "image", "image build"),
    ],
)
def test_doctor_names_what_is_missing(
    engine_url: str, url: str, name: str, what: str, fix: str
) -> None:
    async def main() -> None:
        findings = [finding async for finding in examine(url or engine_url, name)]
        (bad,) = (f for f in findings if f.level == "bad")
        assert bad.what == what
        assert fix in bad.fix

    asyncio.run(main())


def test_doctor_says_that_the_fallback_is_no_boundary() -> None:
    async def main() -> None:
        found = [f async for f in examine("unix:///nowhere/socket")]
        (fallback,) = (f for f in found if f.what == "runtime process")
        assert "no boundary" in fallback.detail
        assert ("without" in fallback.detail) == (not namespaces())

    asyncio.run(main())
