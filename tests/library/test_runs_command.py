"""`make runs`: what it prints of a server, for an operator and for a caller."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.library.clients.server import serve
from tests.library.paths import ROOT


def runs(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("KEY", "OWNER", "STATUS")}
    command = [sys.executable, str(ROOT / "scripts" / "runs.py")]
    return subprocess.run(command, capture_output=True, text=True, env={**kept, "URL": url, **variables})


def test_runs_are_printed_in_100_columns(tmp_path: Path) -> None:
    owners = {"alice": "", "bob": "", "eve": ":operator"}
    keys = [f"{owner}:{hashlib.sha256(f'al_{owner}-key'.encode()).hexdigest()}{role}" for owner, role in owners.items()]
    with serve(tmp_path, API_KEYS=",".join(keys)) as server:

        def ask(owner: str) -> str:
            with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer al_{owner}-key"}) as client:
                made = client.post("/v1/responses", json={"model": "letters", "input": "hello"}, timeout=60)
                return str(made.json()["id"])

        ids = [ask(owner) for owner in ("alice", "bob", "alice")]
        everything = runs(server.url, KEY="al_eve-key").stdout.splitlines()
        assert [line.split()[0] for line in everything[1:]] == ids[::-1]
        assert max(map(len, everything)) <= 100
        assert everything[2].split()[-2:] == ["bob", "letters"]
        assert "completed" in everything[1]
        for variables in ({"KEY": "al_eve-key", "OWNER": "bob"}, {"KEY": "al_bob-key", "STATUS": "completed"}):
            (only,) = runs(server.url, **variables).stdout.splitlines()[1:]
            assert only.split()[0] == ids[1]
        assert runs(server.url, KEY="al_bob-key", STATUS="failed").stdout == "No runs.\n"
        refused = runs(server.url, KEY="al_bob-key", OWNER="alice")
        assert (refused.returncode, "operator_required" in refused.stderr) == (1, True)
    away = runs(server.url, KEY="al_eve-key")
    assert (away.returncode, away.stderr.startswith("No runs listed: "), away.stderr.count("\n")) == (1, True, 1)
