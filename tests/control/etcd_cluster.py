"""A real etcd cluster for the length of a ``with`` block: members that can be killed, paused and brought back."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from intelgraph.fleet.layout.ports import free_ports
from tests.machine import WAIT_S
from tests.needs import need_etcd
from tests.pausing import pause

START_TIMEOUT_S = 90.0


@dataclass(kw_only=True)
class Cluster:
    """``members`` are the clients' URLs, by number."""

    directory: Path
    program: Path
    members: list[str]
    peers: list[str]
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, number: int) -> None:
        """Start a member, or start it again with what it has kept."""
        command = [
            str(self.program),
            f"--name=m{number}",
            f"--data-dir={self.directory / f'm{number}'}",
            f"--listen-client-urls={self.members[number]}",
            f"--advertise-client-urls={self.members[number]}",
            f"--listen-peer-urls={self.peers[number]}",
            f"--initial-advertise-peer-urls={self.peers[number]}",
            "--initial-cluster=" + ",".join(f"m{n}={url}" for n, url in enumerate(self.peers)),
            "--heartbeat-interval=100",
            "--election-timeout=500",
        ]
        with (self.directory / f"m{number}.log").open("ab") as log:
            self.processes[number] = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def send(self, number: int, signal_: signal.Signals) -> None:
        """Send a member a signal; what SIGKILL and SIGSTOP do is waited for."""
        process = self.processes[number]
        if signal_ is signal.SIGSTOP:
            pause(process.pid)
            return
        process.send_signal(signal_)
        if signal_ is signal.SIGKILL:
            process.wait(WAIT_S)

    def wait_healthy(self, number: int) -> None:
        """Wait until a member is of a majority with a leader."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with urllib.request.urlopen(f"{self.members[number]}/health", timeout=1) as answer:
                    if b'"true"' in answer.read():
                        return
            except OSError:
                pass
            assert time.monotonic() < deadline, (self.directory / f"m{number}.log").read_text()[-2_000:]
            time.sleep(0.05)


@contextlib.contextmanager
def etcd_cluster(size: int) -> Iterator[Cluster]:
    """Yield a healthy cluster; without etcd, skip loudly, and fail where nothing may be skipped."""
    program = need_etcd()
    ports = free_ports(2 * size)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    directory = Path(tempfile.mkdtemp(prefix="ig-etcd-"))
    cluster = Cluster(directory=directory, program=program, members=urls[:size], peers=urls[size:])
    try:
        for number in range(size):
            cluster.start(number)
        for number in range(size):
            cluster.wait_healthy(number)
        yield cluster
    finally:
        for process in cluster.processes.values():
            process.kill()
            process.wait(WAIT_S)
        shutil.rmtree(directory, ignore_errors=True)
