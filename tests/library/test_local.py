"""`python -m handler.local`, which is `make run`: the same app under uvicorn on the same kind of loop."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from agency_lambda.local import _listen
from agency_lambda.testing.service import SETTINGS
from tests.library.conftest import PYTHONPATH, QUESTION

ROOT = Path(__file__).parents[2]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    stores = {"STORE": f"sqlite:///{folder}/agency.db", "LETTERS_FOLDER": f"{folder}/letters"}
    return {**kept, **stores, "PYTHONPATH": PYTHONPATH, **settings}


@pytest.fixture(params=["patch", "strict"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    url, process = started(tmp_path, EVENT_LOOP=request.param)
    yield url, process
    process.kill()
    process.communicate()


def started(folder: Path, **settings: str) -> tuple[str, subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "handler.local"],
        env=environment(folder, PORT=str(port), **settings),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    url = f"http://127.0.0.1:{port}"
    for _ in range(200):
        try:
            httpx.get(f"{url}/health").raise_for_status()
            break
        except httpx.HTTPError:
            time.sleep(0.1)
    return url, process


def test_it_answers_twice_in_one_conversation_and_stops_on_ctrl_c(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, process = server
    for _ in range(2):
        answer = httpx.post(f"{url}/completion", json={"message": QUESTION, "thread_id": "nordwind"}, timeout=30)
        assert "Dear Nordwind" in answer.json()["response"]
    assert httpx.get(f"{url}/docs").status_code == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert err == ""
    assert process.returncode == 0
    assert "curl -s localhost" in out
    assert "model: offline" in out


@pytest.mark.parametrize("background", [True, False])
def test_sigterm_hands_over_what_runs_though_a_stream_is_open(tmp_path: Path, background: bool) -> None:
    with socket.socket() as provider:
        provider.bind(("127.0.0.1", 0))
        provider.listen()  # and never answers
        provider.settimeout(20)
        base_url = f"http://127.0.0.1:{provider.getsockname()[1]}/v1"
        url, process = started(tmp_path, OPENAI_API_KEY="key", OPENAI_BASE_URL=base_url, MODEL="gpt-5")
        try:
            body = {"model": "letters", "input": "hello", "background": background, "stream": True}
            with httpx.stream("POST", f"{url}/v1/responses", json=body, timeout=30):
                connection, _ = provider.accept()  # a model call is at work
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=15)
                connection.close()
        finally:
            process.kill()
    assert process.returncode == 0
    with closing(sqlite3.connect(tmp_path / "agency.db")) as stored:
        ((lease,),) = stored.execute("SELECT body FROM record WHERE partition LIKE 'running#%'").fetchall()
    assert (json.loads(lease)["holder"], json.loads(lease)["lost"]) == ("", 0)


def test_concurrent_requests_on_one_loop(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = server

    async def ask(client: httpx.AsyncClient, number: int) -> str:
        body = {"message": f"Client C{number} GmbH asks for a date.", "thread_id": f"t{number}"}
        return str((await client.post(f"{url}/completion", json=body)).json()["response"])

    async def everybody() -> list[str]:
        async with httpx.AsyncClient(timeout=60) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(20)))

    for number, response in enumerate(asyncio.run(everybody())):
        assert f"Dear C{number} GmbH" in response


def test_a_keep_alive_connection_survives_its_first_request(server: tuple[str, subprocess.Popen[str]]) -> None:
    url, _ = server
    with httpx.Client(base_url=url) as client:
        ports = {client.get("/health").extensions["network_stream"].get_extra_info("client_addr") for _ in range(5)}
    assert len(ports) == 1


def test_a_large_body_does_not_spoil_the_connection(server: tuple[str, subprocess.Popen[str]]) -> None:
    with httpx.Client(base_url=server[0], timeout=20) as client:
        for size in (10, 500_000, 10, 500_000):
            assert client.post("/completion", json={"message": "x" * size, "agent": "Registrar"}).status_code == 200


def test_pipelined_requests_are_all_answered(server: tuple[str, subprocess.Popen[str]]) -> None:
    host, port = server[0].removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n" * 5)
        received = b""
        while received.count(b'{"status":"ok"') < 5:
            chunk = connection.recv(65536)
            assert chunk
            received += chunk


def test_each_event_of_a_stream_leaves_at_once(clean_environment: pytest.MonkeyPatch) -> None:
    """With Nagle's algorithm it would wait for the client to acknowledge the one before it: 40 ms."""
    clean_environment.setenv("PORT", "0")

    async def option() -> int:
        accepted = asyncio.get_running_loop().create_future()

        async def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            await writer.wait_closed()
            accepted.set_result(found)

        async with await asyncio.start_server(connected, sock=_listen()) as server:
            _, client = await asyncio.open_connection(*server.sockets[0].getsockname())
            found: int = await accepted
            client.close()
            await client.wait_closed()
        return found

    assert asyncio.run(option())


def refusal(folder: Path, **settings: str) -> str:
    """What a start that is refused says."""
    done = subprocess.run(
        [sys.executable, "-m", "handler.local"],
        env=environment(folder, **settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("Not started: ")
    return done.stderr


def test_a_port_in_use_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert refusal(tmp_path, PORT=str(taken.getsockname()[1])).startswith("Not started: port ")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"EVENT_LOOP": "fast"}, "EVENT_LOOP"),
        ({"OPENAI_BASE_URL": "http://localhost:1"}, "OPENAI_API_KEY is not"),
        ({"PORT": "http"}, "PORT is 'http'"),
        ({"LETTERS_FOLDER": "/dev/null"}, "agency 'letters': NotADirectoryError"),
    ],
)
def test_what_cannot_work_is_refused_by_name(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    assert said in refusal(tmp_path, **settings)
