"""The processes of a measurement: the provider, and whoever asks it."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.beside import process_tree
from benchmarks.beside.peer import Peer
from benchmarks.child import ROOT
from tests.library.runtime_emulator import free_ports

_PATIENCE = 90.0  # seconds until a server listens


@dataclass(frozen=True)
class Provider:
    """A provider that runs. url: what OPENAI_BASE_URL must be."""

    url: str
    pid: int

    def calls(self) -> int:
        """Return how many answers it has given."""
        return self._seen()["calls"]

    def items(self) -> int:
        """Return how many items or messages the last request had."""
        return self._seen()["items"]

    def _seen(self) -> dict[str, int]:
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        connection.request("GET", "/seen")
        try:
            return dict(json.loads(connection.getresponse().read()))
        finally:
            connection.close()


@contextmanager
def provider() -> Iterator[Provider]:
    """Start a provider, and end it."""
    command = [sys.executable, "-m", "benchmarks.provider"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield Provider(process.stdout.readline().strip(), process.pid)
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Server:
    """A peer that runs."""

    peer: Peer
    port: int
    pid: int

    def cpu(self) -> float:
        """CPU seconds since it was started."""
        return process_tree.cpu(self.pid)

    def rss(self) -> float:
        """Megabytes."""
        return process_tree.rss(self.pid)


@contextmanager
def serving(peer: Peer, url: str) -> Iterator[Server]:
    """Start a peer with its model at this URL, wait until it listens, and end all that it has started.

    Raises:
        RuntimeError: it has ended; the message is what it has said last.
    """
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in peer.sources:
            shutil.copytree(ROOT / "benchmarks" / "peers" / source, folder, dirs_exist_ok=True)
        with open(folder / "log", "w+") as log:
            process = subprocess.Popen(
                peer.command(port), cwd=folder, env=_variables(peer, folder, url), stdout=log, stderr=log
            )
            try:
                _listens(process, port, folder / "log")
                yield Server(peer, port, process.pid)
            finally:
                _end(process)


def _variables(peer: Peer, folder: Path, url: str) -> dict[str, str]:
    # Nothing of this machine's settings, and nothing that would tell others of the run.
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "OPENAI_API_KEY": "any",
        "OPENAI_BASE_URL": url,
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "PYTHONPATH": os.pathsep.join(map(str, (folder, *peer.python_path))),
        **peer.variables,
    }


def _listens(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r}: {log.read_text()[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for pid in reversed(process_tree.members(process.pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
    process.wait()
