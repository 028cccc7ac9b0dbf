"""The pool of the models' client keeps httpcore's promises, and asks few of its connections."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any

import pytest
from httpcore import AsyncHTTPConnection
from openai import AsyncOpenAI

from agency_lambda.framework.models import connection_pool
from agency_lambda.framework.models.connection_pool import assign_quickly
from agency_lambda.framework.models.selection import Models
from tests.library.models.agencies import settings


class Asked:
    """A client and its server, which answers when so many requests wait."""

    def __init__(self) -> None:
        self.writers: list[asyncio.StreamWriter] = []
        self._waiting: list[asyncio.StreamWriter] = []
        self._together = 1
        self.http: Any = None
        self.url = ""

    @property
    def connections(self) -> list[AsyncHTTPConnection]:
        return list(self.http._transport._pool._connections)

    async def ask(self, together: int = 1) -> None:
        self._together = together
        answers = await asyncio.gather(*(self.http.get(self.url) for _ in range(together)))
        assert [answer.text for answer in answers] == ["ok"] * together

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            self._waiting.append(writer)
            if len(self._waiting) == self._together:
                for each in self._waiting:
                    each.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                self._waiting.clear()

    async def close_connections(self) -> None:
        for writer in self.writers:
            writer.close()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def asked() -> AsyncIterator[Asked]:
    it = Asked()
    async with await asyncio.start_server(it.serve, "127.0.0.1", 0) as server:
        it.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with assign_quickly(AsyncOpenAI(api_key="any")) as client:
            it.http = client._client
            try:
                yield it
            finally:
                await it.close_connections()  # or the server would wait for them


def _run(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**fixtures: Any) -> None:
        async def main() -> None:
            await test(**fixtures)

        asyncio.run(main())

    return run


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[AsyncHTTPConnection]:
    """Connections whose sockets were looked at, in a pool that is never due to look at all."""
    found, has_expired = list[AsyncHTTPConnection](), AsyncHTTPConnection.has_expired

    def noted(connection: AsyncHTTPConnection) -> bool:
        found.append(connection)
        return has_expired(connection)

    monkeypatch.setattr(AsyncHTTPConnection, "has_expired", noted)
    monkeypatch.setattr(connection_pool, "_SWEEP", 1e9)
    return found


@_run
async def test_request_looks_at_its_own_connection_alone(checks: list[AsyncHTTPConnection]) -> None:
    async with asked() as it:
        await it.ask(together=20)
        checks.clear()
        for _ in range(10):
            await it.ask()
    assert len(checks) == 10
    assert len(it.writers) == 20


@_run
async def test_connections_are_used_again(checks: list[AsyncHTTPConnection]) -> None:
    async with asked() as it:
        for _ in range(3):
            await it.ask(together=20)
        assert len(it.writers) == len(it.connections) == 20


@_run
async def test_connection_that_the_server_has_closed_is_not_used(checks: list[AsyncHTTPConnection]) -> None:
    async with asked() as it:
        await it.ask(together=5)
        await it.close_connections()
        await it.ask()
        assert len(it.connections) == 1
        assert len(it.writers) == 6


@_run
async def test_all_connections_are_looked_at_when_it_is_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asked() as it:
        await it.ask(together=5)
        for writer in it.writers[1:]:
            writer.close()
        await asyncio.sleep(0.05)
        await it.ask()
        assert len(it.connections) == 5, "nothing was due"
        monkeypatch.setattr(connection_pool, "_SWEEP", 0)
        await it.ask()
        assert len(it.connections) == 1


@_run
async def test_connections_beyond_those_that_are_kept_are_closed() -> None:
    async with asked() as it:
        it.http._transport._pool._max_keepalive_connections = 3
        await it.ask(together=10)
        assert len(it.connections) == 3


@_run
async def test_models_have_it() -> None:
    models = Models(settings("http://127.0.0.1:9/v1"))
    pool: Any = models.client._client._transport._pool  # type: ignore[attr-defined]
    assert isinstance(pool._assign_requests_to_connections, connection_pool._Assignment)
    await models.aclose()
