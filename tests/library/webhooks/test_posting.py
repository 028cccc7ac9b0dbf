"""One request to a server that nobody trusts: where it goes, and what it may cost."""

import asyncio
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agency_lambda.webhooks import posting, targets
from agency_lambda.webhooks.posting import NotDelivered, post
from agency_lambda.webhooks.targets import parse
from tests.library.webhooks.receiver import Receiver, receiver
from tests.library.webhooks.test_targets import PUBLIC, answers

type Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as started:
        yield started


def status_of(url: str, body: bytes = b"{}") -> int:
    return asyncio.run(post(parse(url), {"webhook-id": "evt_1"}, body))


def test_request_is_whole_and_its_status_is_returned(hook: Receiver) -> None:
    hook.answers = [204, 500]
    assert [status_of(hook.url, b'{"a":1}'), status_of(hook.url)] == [204, 500]
    path, headers, body = hook.received[0]
    assert (path, body) == ("/hook?a=b", b'{"a":1}')
    assert headers["host"] == f"127.0.0.1:{hook.server_port}"
    assert (headers["content-type"], headers["webhook-id"]) == ("application/json", "evt_1")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(hook: Receiver, status: int) -> None:
    hook.answers, hook.elsewhere = [status], hook.url
    assert status_of(hook.url) == status
    assert len(hook.received) == 1


def test_proxy_of_the_environment_is_not_asked(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert status_of(hook.url) == 200


def test_connection_goes_to_the_address_that_was_checked(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers otherwise the next time is not asked a second time."""
    asked = answers(monkeypatch, "127.0.0.1")
    whole = targets._look_up

    def rebinding(target: targets.Target) -> list[str]:
        found = whole(target)
        answers(monkeypatch, "10.0.0.1")
        return found

    monkeypatch.setattr(targets, "_look_up", rebinding)
    assert status_of(f"http://localhost:{hook.server_port}/") == 200
    assert asked == ["localhost"]
    assert hook.received[0][1]["host"] == f"localhost:{hook.server_port}"
    with pytest.raises(NotDelivered, match="public"):
        status_of(f"http://localhost:{hook.server_port}/")


def test_redirect_to_loopback_from_a_public_name_is_a_failure(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Lambda: what is connected to is the public address, and nothing else is, whatever that answers."""
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "worker")
    answers(monkeypatch, PUBLIC)
    connected: list[Any] = []

    async def connect(address: str, port: int, **options: Any) -> Any:
        connected.append((address, port, options["server_hostname"]))
        reader = asyncio.StreamReader(limit=options["limit"])
        reader.feed_data(f"HTTP/1.1 307 Go\r\nlocation: {hook.url}\r\n\r\n".encode())
        return reader, _Writer()

    monkeypatch.setattr(posting.asyncio, "open_connection", connect)
    assert status_of("https://hooks.example.com/") == 307
    assert (connected, hook.received) == ([(PUBLIC, 443, "hooks.example.com")], [])


class _Writer:
    transport: Any

    def __init__(self) -> None:
        self.transport = self

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...

    def abort(self) -> None: ...


def test_next_address_is_tried_if_one_does_not_answer(hook: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "127.0.0.2", "127.0.0.1")  # the receiver listens on the second alone
    assert status_of(f"http://localhost:{hook.server_port}/") == 200


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        with pytest.raises(NotDelivered, match="No connection"):
            status_of(url)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `localhost`, with its key, which signs itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "pair.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(built.public_bytes(Encoding.PEM) + private)
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    posting._trusted.cache_clear()
    with receiver(context) as started:
        yield started
    posting._trusted.cache_clear()


def test_certificate_is_verified_for_the_name(
    secure: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotDelivered, match="TLS failed: CERTIFICATE_VERIFY_FAILED"):
        status_of(f"https://localhost:{secure.server_port}/")  # nobody has signed it
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    posting._trusted.cache_clear()
    assert status_of(f"https://localhost:{secure.server_port}/") == 200
    assert secure.names[-1] == "localhost"
    with pytest.raises(NotDelivered, match="TLS failed: CERTIFICATE_VERIFY_FAILED"):
        status_of(f"https://127.0.0.1:{secure.server_port}/")  # it is another's
    assert len(secure.received) == 1


# Receivers that are slow, or lie


@asynccontextmanager
async def lying(answer: Answer) -> AsyncIterator[int]:
    """A server whose answer is what `answer` writes. Yields its port."""

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        try:
            await answer(writer)
        except OSError:
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def outcome(answer: Answer) -> int | str:
    async def whole() -> int | str:
        async with lying(answer) as port:
            try:
                return await post(parse(f"http://127.0.0.1:{port}/"), {}, b"{}")
            except NotDelivered as error:
                return str(error)

    return asyncio.run(whole())


def sends(data: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\nx: y\n\n", b"HTTP/1.1 20 OK\r\n\r\n"),
        *(b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n", b"\x16\x03\x01\x00\x00\r\n\r\n", b"200\r\n\r\n"),
        4 * b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
def test_broken_bytes_are_a_failure(data: bytes) -> None:
    assert "no HTTP" in str(outcome(sends(data)))


def test_answer_in_between_is_passed_over() -> None:
    assert outcome(sends(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Made\r\nx: y\r\n\r\n")) == 201


async def _endless(writer: asyncio.StreamWriter, begin: bytes, more: bytes) -> None:
    writer.write(begin)
    while not writer.is_closing():
        writer.write(more)
        await writer.drain()


async def _endless_headers(writer: asyncio.StreamWriter) -> None:
    await _endless(writer, b"HTTP/1.1 200 OK\r\n", b"x: " + 65_000 * b"y" + b"\r\n")


async def _endless_line(writer: asyncio.StreamWriter) -> None:
    await _endless(writer, b"HTTP/1.1 200 ", 65_000 * b"y")


async def _endless_interim(writer: asyncio.StreamWriter) -> None:
    await _endless(writer, b"", 1000 * b"HTTP/1.1 102 Wait\r\n\r\n")


async def _endless_body(writer: asyncio.StreamWriter) -> None:
    await _endless(writer, b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n", 65_000 * b"\0")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (_endless_headers, "The connection broke, or the answer was no HTTP."),
        (_endless_line, "The connection broke, or the answer was no HTTP."),
        (_endless_interim, "The answer was no HTTP."),
        (_endless_body, 200),  # which nobody reads
    ],
)
def test_endless_answer_costs_little(answer: Answer, expected: int | str) -> None:
    before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    assert outcome(answer) == expected
    assert time.monotonic() - begun < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 10_000  # kB


async def _silent(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _dripping(writer: asyncio.StreamWriter) -> None:
    for byte in b"HTTP/1.1 200 OK\r\n" + 1000 * b"x: y\r\n":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def _late(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(1)
    await sends(b"HTTP/1.1 200 OK\r\n\r\n")(writer)


@pytest.mark.parametrize("answer", [_silent, _dripping, _late])
def test_slow_answer_is_a_failure_when_time_is_up(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TIMEOUT", 0.5)
    begun = time.monotonic()
    assert "no answer within" in str(outcome(answer))
    assert time.monotonic() - begun < 5


def test_lookup_that_hangs_ends_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TIMEOUT", 0.2)
    monkeypatch.setattr(targets, "_look_up", lambda target: time.sleep(1))
    with pytest.raises(NotDelivered, match="no answer within"):
        status_of("https://slow.example.com/")
