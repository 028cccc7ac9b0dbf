"""`python -m handler.local` on a free loopback port, as real clients meet it: two owners, and the offline model."""

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.conftest import SETTINGS

ROOT = Path(__file__).parents[2]
MODEL = "agreement-desk"
_STARTED = 60.0  # seconds, at most; two cores may be busy with other tests


@dataclass(frozen=True)
class Server:
    """url: without /v1. key, stranger: two owners' keys. log: everything that it has written to stderr."""

    url: str
    key: str
    stranger: str
    log: Path

    @property
    def base_url(self) -> str:
        """What clients of OpenAI are pointed at."""
        return f"{self.url}/v1"


@contextmanager
def serve(folder: Path, **settings: str) -> Iterator[Server]:
    """Until the `with` block ends; `settings` are environment variables. Everything that is stored is in `folder`."""
    keys = {owner: f"al_{owner}-key" for owner in ("alice", "bob")}
    pairs = ",".join(f"{owner}:{hashlib.sha256(key.encode()).hexdigest()}" for owner, key in keys.items())
    stores = {"STORE": f"sqlite:///{folder}/agency.db", "PLANFIX_BOARD": f"{folder}/board.db"}
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    path = {"PYTHONPATH": f"{ROOT}:{ROOT / 'agents'}"}
    log = folder / "stderr.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "handler.local"],
            env={**kept, **stores, **path, "PORT": "0", "API_KEYS": pairs, **settings},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield Server(_url(process, log), keys["alice"], keys["bob"], log)
        finally:
            process.kill()


def _url(process: subprocess.Popen[str], log: Path) -> str:
    """As it says itself which port it took; when that is said it has not quite begun to listen."""
    assert process.stdout
    said = next((found for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line))), None)
    assert said, log.read_text()
    end = time.monotonic() + _STARTED
    while True:
        try:
            httpx.get(f"{said[0]}/health").raise_for_status()
            return said[0]
        except httpx.TransportError:
            assert time.monotonic() < end
            time.sleep(0.05)
