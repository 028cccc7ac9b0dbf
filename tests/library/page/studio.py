"""The agencies of this folder, served on a port and a store that a killed server leaves to the next one."""

import hashlib
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx

from agency_lambda.testing.service import SETTINGS
from tests.library.page.provider import Model
from tests.library.paths import ROOT

HERE = Path(__file__).parent
_OWNERS = {"alice": "", "bob": "", "olga": ":operator"}
KEYS = {owner: f"al_{owner}-key" for owner in _OWNERS}
_STARTED = 60.0  # seconds, at most
_ENDED = 30.0  # seconds, at most, for a run


class Studio:
    """A server that can be killed and started again. `settings` are environment variables."""

    def __init__(self, folder: Path, model: Model, **settings: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
        paths = (HERE / "agents", ROOT, ROOT / "src")
        self.model, self._log = model, folder / "server.log"
        self._environment = {
            **kept,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "STORE": f"sqlite:///{folder}/agency.db",
            "OPENAI_API_KEY": "k",
            "OPENAI_BASE_URL": model.base_url,
            "MODEL": "gpt-5-mini",  # which has a price
            "API_KEYS": ",".join(
                f"{owner}:{hashlib.sha256(key.encode()).hexdigest()}{_OWNERS[owner]}" for owner, key in KEYS.items()
            ),
            "PORT": "0",
            **settings,
        }
        self.url = ""

    def start(self) -> None:
        """Raises RuntimeError, with what it has written, if it does not listen in time."""
        before = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.library.page.launcher"],
                env=self._environment,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + _STARTED
        while time.monotonic() < end and self._process.poll() is None:
            written = self._log.read_text()[before:]
            url = f"http://127.0.0.1:{self._environment['PORT']}" if self.url else _first_url(written)
            with suppress(httpx.TransportError):
                if url and httpx.get(f"{url}/health").is_success:
                    self.url, self._environment["PORT"] = url, url.rpartition(":")[2]
                    return
            time.sleep(0.05)
        raise RuntimeError(self._log.read_text()[before:])

    def kill(self) -> None:
        """End it as a crash does: nothing is handed over."""
        self._process.kill()
        self._process.wait()

    def client(self, owner: str = "alice") -> httpx.Client:
        """A client of the API."""
        return httpx.Client(base_url=self.url, headers={"authorization": f"Bearer {KEYS[owner]}"}, timeout=60)

    def run(self, text: str, owner: str = "alice", **fields: Any) -> dict[str, Any]:
        """Return the response to a message when the run has ended, or waits for a person."""
        body = {"model": "studio", "input": text, "background": True, **fields}
        with self.client(owner) as client:
            answer = client.post("/v1/responses", json=body)
            assert answer.is_success, answer.text
            found: dict[str, Any] = answer.json()
            end = time.monotonic() + _ENDED
            while found["status"] in ("queued", "in_progress") and not _asks(found):
                assert time.monotonic() < end, found
                time.sleep(0.05)
                found = client.get(f"/v1/responses/{found['id']}").json()
        return found

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _first_url(text: str) -> str:
    _, found, rest = text.partition("http://127.0.0.1:")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{found}{digits}" if digits and len(rest) > len(digits) else ""


def _asks(response: dict[str, Any]) -> bool:
    return any(item["type"] == "mcp_approval_request" for item in response["output"])
