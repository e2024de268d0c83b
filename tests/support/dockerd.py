"""A Docker engine of our own, in a folder and on a socket of its own: to be killed, hung and filled."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import psutil
from docker.errors import DockerException
from requests import RequestException

START_TIMEOUT_S = 60.0


def answers(url: str) -> bool:
    client: Any = None
    try:
        with socket.socket(socket.AF_UNIX) as door:  # docker-py leaves one open when it fails
            door.connect(url.removeprefix("unix://"))
        client = docker.APIClient(base_url=url, version="1.41", timeout=5)
        return bool(client.ping())
    except (DockerException, RequestException, OSError):
        return False
    finally:
        if client is not None:
            client.close()


def possible() -> str:
    """Why none can be started here; empty when one can."""
    if os.geteuid() != 0:
        return "no Docker engine answers, and only root can start one"
    if shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None:
        return "no Docker engine answers, and dockerd is not installed (apt-get install docker.io)"
    return ""


class Dockerd:
    """`data` is where it keeps images and containers; a folder of its own by default."""

    def __init__(self, data: Path | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nova-dockerd-", dir="/tmp"))
        self.data = data or self.folder / "data"
        self.url = f"unix://{self.folder}/socket"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it answers. Without bridge and packet filter: no container of ours has a network."""
        (self.folder / "pid").unlink(missing_ok=True)
        command = ["dockerd", "--host", self.url, "--data-root", str(self.data)]
        command += ["--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid")]
        command += ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env={"PATH": path}
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.url):
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, "dockerd does not answer"
            time.sleep(0.1)

    def ensure(self) -> None:
        """It runs and answers."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        else:
            self.process.send_signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a crash: its containers go on until it is started again."""
        assert self.process
        self.process.kill()
        self.process.wait(10)
        # Its containerd dies with it. Where nobody reaps the corpse, the next dockerd would take it
        # for alive by its number, and wait for it.
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """With all that it started, and every trace of it."""
        try:
            self.ensure()  # only one that runs can end its containers
            assert self.process
            self.process.terminate()
            self.process.wait(30)
        finally:
            if self.process and self.process.poll() is None:
                self.kill()
            for process in psutil.process_iter(["cmdline"]):
                if f"{self.folder}/exec/containerd/containerd.sock" in (
                    process.info["cmdline"] or ()
                ):
                    process.kill()
            self._unmount()
            with suppress(OSError):
                shutil.rmtree(self.folder)

    def _unmount(self) -> None:
        """dockerd leaves its data folder mounted on itself, and a name of the host's network."""
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for path in mounts:
            if path.startswith((f"{self.folder}/", f"{self.data}/")) or path == str(self.data):
                subprocess.run(["umount", "--lazy", path], stderr=subprocess.DEVNULL, check=False)
