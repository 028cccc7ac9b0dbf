"""The server is killed (SIGKILL) while files come: what was answered is there, and nothing else stays."""

import random
import sqlite3
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import openai

from agency_lambda.files.model import DUE
from tests.library.clients.server import Server, serve

UPLOADERS = 4


def uploading(server: Server, answered: dict[str, bytes], ending: threading.Event) -> None:
    chance = random.Random(threading.get_ident())
    with openai.OpenAI(**server.options()) as client, suppress(openai.APIError):
        while not ending.is_set():
            content = chance.randbytes(chance.randint(1, 1_000_000))
            answered[client.files.create(file=("a.bin", content), purpose="user_data").id] = content


def test_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    answered, ending = dict[str, bytes](), threading.Event()
    with serve(tmp_path) as server:
        threads = [threading.Thread(target=uploading, args=(server, answered, ending)) for _ in range(UPLOADERS)]
        for each in threads:
            each.start()
        while len(answered) < 20:
            time.sleep(0.01)
    ending.set()  # the server was killed at the end of `serve`
    for each in threads:
        each.join()
    with serve(tmp_path) as server, openai.OpenAI(**server.options()) as client:
        listed = {file.id: file.bytes for file in client.files.list()}
        assert answered.keys() <= listed.keys()
        for file_id, size in listed.items():
            content = client.files.content(file_id).read()
            assert len(content) == size
            assert answered.get(file_id, content) == content
    _nothing_is_forgotten(tmp_path, listed)


def _nothing_is_forgotten(folder: Path, listed: dict[str, int]) -> None:
    """Whatever has bytes is in the list, or is going to be deleted with what is counted of it."""
    with closing(sqlite3.connect(folder / "agency.db")) as store:
        due = {
            sort.partition("/")[2] for (sort,) in store.execute("SELECT sort FROM record WHERE partition = ?", [DUE])
        }
        pending = {sort for (sort,) in store.execute("SELECT sort FROM record WHERE partition = 'alice/uploads'")}
    there = {path.name.removesuffix(".part") for path in (folder / "files").iterdir()}
    assert there <= due
    assert due == listed.keys() | pending
