"""What is installed from a built distribution is complete, and starts."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from support.repo import PACKAGES, ROOT

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist, and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel; what Nova depends on is lent from this one.

    A .pth file inside a lent folder is not read, so this tree's editable install stays out."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(venv / "bin/python")]
    (wheel,) = dist.glob("*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    return venv


def test_wheel_holds_every_package_whole(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    packages = {name: folder for name, folder in PACKAGES.items() if "." not in name}
    packages["nova_proto"] = ROOT / "proto/nova_proto"
    for package, folder in packages.items():
        wanted = {
            f"{package}/{p.relative_to(folder)}"
            for p in folder.rglob("*")
            if p.is_file() and "__pycache__" not in p.parts
        }
        assert f"{package}/py.typed" in wanted
        assert not wanted - names
    assert {n.split("/")[0] for n in names if ".dist-info" not in n} == packages.keys()
    assert any(n.endswith("licenses/LICENSE") for n in names)


def test_sdist_holds_sources_and_nothing_local(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {n.partition("/")[2] for n in tar.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "proto/nova_proto/v1/task.proto"} <= names
    assert not [n for n in names if n.startswith((".venv", ".git/", "dist/")) or ".pyc" in n]


@pytest.mark.parametrize("command", ["nova", "nova-node", "nova-sandbox"])
def test_installed_command_starts(installed: Path, tmp_path: Path, command: str) -> None:
    run = subprocess.run(
        [installed / "bin" / command, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Usage:")


def test_packages_are_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    names = ", ".join([*PACKAGES, "nova_proto"])
    code = f"import {names}; print(*(m.__file__ for m in ({names})), sep='\\n')"
    run = subprocess.run(
        [installed / "bin/python", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert all(line.startswith(str(installed)) for line in run.stdout.splitlines())
