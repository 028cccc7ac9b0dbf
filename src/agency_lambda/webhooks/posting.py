"""One request to a server that nobody trusts: what it may cost in time and memory is bounded."""

import asyncio
import os
import re
import ssl
from collections.abc import Mapping
from functools import cache

import certifi

from agency_lambda.webhooks.targets import AddressRefused, Target, resolve

TIMEOUT = 10.0  # seconds for one delivery, from the lookup to the answer
_CONNECT_TIMEOUT = 3.0  # seconds for one address
_MOST_ADDRESSES = 4  # that are tried
_HEAD = 16 * 1024  # bytes of the status and the headers; nothing behind them is read
_MOST_INTERIM = 3  # answers of 1xx before the one that counts
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})[ \r]")

type Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class NotDelivered(Exception):
    """Nothing was answered. The text is shown to the webhook's owner."""


async def post(target: Target, headers: Mapping[str, str], body: bytes) -> int:
    """Send a body, and return the HTTP status. Redirects are not followed, and no proxy is asked.

    Raises:
        NotDelivered: there was no answer.
    """
    try:
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await _connect(target)
            try:
                writer.write(_request(target, headers, body))
                await writer.drain()
                return await _status(reader)
            finally:
                writer.transport.abort()
    except AddressRefused as refused:
        raise NotDelivered(str(refused)) from None
    except TimeoutError:
        raise NotDelivered(f"There was no answer within {TIMEOUT:.0f} seconds.") from None
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
        raise NotDelivered("The connection broke, or the answer was no HTTP.") from None


async def _connect(target: Target) -> Connection:
    """Connect to an address that was checked; the name is not looked up a second time."""
    addresses = await resolve(target)
    failure = NotDelivered("No connection could be made.")
    secure = {"ssl": _trusted(), "server_hostname": target.host} if target.is_secure else {}
    for address in addresses[:_MOST_ADDRESSES]:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                return await asyncio.open_connection(address, target.port, limit=_HEAD, **secure)  # type: ignore[arg-type]
        except ssl.SSLError as error:
            failure = NotDelivered(f"TLS failed: {error.reason or 'no reason was given'}.")
        except (OSError, TimeoutError):
            continue
    raise failure


@cache
def _trusted() -> ssl.SSLContext:
    # As httpx does, so that all that leaves the service trusts the same.
    return ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    fields = {
        "host": target.host_header,
        "user-agent": "agency-lambda",
        "accept": "*/*",
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


async def _status(reader: asyncio.StreamReader) -> int:
    for _ in range(1 + _MOST_INTERIM):
        match = _STATUS.match(await reader.readuntil(b"\r\n\r\n"))
        if match is None:
            break
        if (status := int(match[1])) >= 200:
            return status
    raise NotDelivered("The answer was no HTTP.")
