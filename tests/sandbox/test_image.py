"""Images from this machine's Python, with packages from wheels, and no registry."""

from __future__ import annotations

import asyncio
import zipfile
from pathlib import Path

import pytest
from nova_sandbox import NotOffered, Sandbox
from nova_sandbox.engine import Engine
from nova_sandbox.image import Image, listed, reference
from support.sandbox_images import drop_image, make_image
from support.sandbox_runs import SandboxHost, collect

DIGEST = "sha256:" + "0" * 64


def make_wheel(folder: Path) -> None:
    info = "greeting-1.0.dist-info"
    with zipfile.ZipFile(folder / "greeting-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("greeting.py", "def greet(): return 'hello'\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def test_packages_come_from_a_folder_of_wheels(engine_url: str, tmp_path: Path) -> None:
    make_wheel(tmp_path)
    (tmp_path / "requirements.txt").write_text("greeting==1.0\n")

    async def main() -> None:
        requirements = tmp_path / "requirements.txt"
        labels = {"purpose": "greeting", "speed": "high"}
        made = await make_image(engine_url, "greeting", labels, requirements, tmp_path)
        assert made.labels == labels
        try:
            async with Sandbox(engine=engine_url, image="greeting", self_test=False) as sandbox:
                ran = await collect(sandbox.run("import greeting; print(greeting.greet())"))
                assert ran.stdout == "hello\n", ran
        finally:
            await drop_image(engine_url, "greeting")

    asyncio.run(main())


def test_a_wheel_that_is_not_in_the_folder(engine_url: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("greeting==1.0\n")

    async def main() -> None:
        with pytest.raises(NotOffered, match="pip could not install") as missing:
            await make_image(engine_url, "greeting", {}, tmp_path / "requirements.txt", tmp_path)
        assert "--wheels" in missing.value.fix

    asyncio.run(main())


def test_images_are_listed_by_name(engine_url: str, image: Image) -> None:
    async def main() -> list[Image]:
        engine = Engine(engine_url)
        try:
            return await listed(engine)
        finally:
            await engine.close()

    assert image in asyncio.run(main())
    assert image.id.startswith("sha256:")
    assert image.labels == {"purpose": "tests"}


def test_what_programs_use_of_the_standard_library_is_there(host: SandboxHost) -> None:
    names = "ssl sqlite3 ctypes hashlib json zlib bz2 lzma decimal asyncio xml.etree.ElementTree"
    ran = host.run(
        f"import importlib\nfor name in {names!r}.split():\n    importlib.import_module(name)\n"
        "import sqlite3, pwd\nprint(sqlite3.connect(':memory:').execute('select 1').fetchone())\n"
        "print(pwd.getpwuid(65534).pw_name)"
    )
    assert ran.stdout == "(1,)\nnobody\n", ran


def test_nothing_else_of_this_machine_is_in_it(host: SandboxHost) -> None:
    ran = host.run("import os\nprint(sorted(os.listdir('/')), os.listdir('/etc'))", timeout_s=5)
    assert "home" not in ran.stdout
    assert "root" not in ran.stdout
    assert "ssh" not in ran.stdout


@pytest.mark.parametrize(
    "name", ["host", "science-2", DIGEST, f"some.example:5000/python@{DIGEST}"]
)
def test_names_that_pin_an_image(name: str) -> None:
    assert reference(name) in (f"nova-sandbox:{name}", name)


@pytest.mark.parametrize("name", ["", "Host", "a:b", "a/b", "../a", "-a", "a@sha256:1", "a b"])
def test_names_that_do_not(name: str) -> None:
    with pytest.raises(NotOffered):
        reference(name)


@pytest.mark.parametrize(
    ("name", "labels"), [("Bad Name", {}), ("good", {"a b": "c"}), ("good", {"a": "b\nLABEL x=y"})]
)
def test_an_image_is_not_made_under_any_name(
    engine_url: str, name: str, labels: dict[str, str]
) -> None:
    with pytest.raises(NotOffered):
        asyncio.run(make_image(engine_url, name, labels))
