"""`python -m handler.local` on a free loopback port, as real clients meet it: two owners, and the offline model."""

import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from agency_lambda.testing.service import SETTINGS
from tests.library.conftest import PYTHONPATH

ROOT = Path(__file__).parents[3]
MODEL = "letters"
_STARTED = 60.0  # seconds, at most; two cores may be busy with other tests


@dataclass(frozen=True)
class Server:
    """url: without /v1. key, stranger: two owners' keys. log: everything that it has written."""

    url: str
    key: str
    stranger: str
    log: Path

    @property
    def base_url(self) -> str:
        """What clients of OpenAI are pointed at."""
        return f"{self.url}/v1"

    def options(self, key: str | None = None) -> dict[str, Any]:
        """For OpenAI's Python clients: they hide no failure by a retry, and take no answer that lacks a field."""
        hides_nothing = {"max_retries": 0, "_strict_response_validation": True}
        return {"base_url": self.base_url, "api_key": key or self.key, "timeout": 30, **hides_nothing}


@contextmanager
def serve(folder: Path, **settings: str) -> Iterator[Server]:
    """Until the `with` block ends; `settings` are environment variables. Everything that is stored is in `folder`."""
    keys = {owner: f"al_{owner}-key" for owner in ("alice", "bob")}
    pairs = ",".join(f"{owner}:{hashlib.sha256(key.encode()).hexdigest()}" for owner, key in keys.items())
    stores = {"STORE": f"sqlite:///{folder}/agency.db", "LETTERS_FOLDER": f"{folder}/letters"}
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    path = {"PYTHONPATH": PYTHONPATH}
    log = folder / "server.log"  # a file: it writes a line a request, and would wait for whoever does not read a pipe
    with (
        log.open("w") as written,
        subprocess.Popen(
            [sys.executable, "-m", "handler.local"],
            env={**kept, **stores, **path, "PORT": "0", "API_KEYS": pairs, **settings},
            cwd=ROOT,
            stdout=written,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield Server(_url(process, log), keys["alice"], keys["bob"], log)
        finally:
            process.kill()


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    """As it says itself which port it took; when that is said it has not quite begun to listen."""
    end = time.monotonic() + _STARTED
    while time.monotonic() < end and process.poll() is None:
        said = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        with suppress(httpx.TransportError):
            if said and httpx.get(f"{said[0]}/health").is_success:
                return said[0]
        time.sleep(0.05)
    raise RuntimeError(f"not started: {log.read_text()}")
