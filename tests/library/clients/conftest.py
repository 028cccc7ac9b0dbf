"""One server for all test modules of a worker: it takes seconds to start, and every test makes ids of its own."""

from collections.abc import Iterator

import openai
import pytest

from tests.library.clients.server import Server, serve


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    """OpenAI's own, with nothing changed but where it calls."""
    with openai.OpenAI(**server.options()) as made:
        yield made
