"""AUTH=jwt: clients of MCP find out who issues their tokens, and where they are for."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import ClientSession
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

from agency_lambda.testing.events import Context, http_event, rest_event
from tests.library.clients.server import serve
from tests.library.conftest import Service
from tests.library.issuer import Issuer, openid_issuer
from tests.library.runtime_emulator import free_ports

WELL_KNOWN = "/.well-known/oauth-protected-resource"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with openid_issuer() as made:
        made.add("first")
        yield made


@pytest.fixture
def service(start: Callable[..., Service], issuer: Issuer) -> Service:
    return start(AUTH="jwt", JWT_ISSUER=issuer.url, JWT_AUDIENCE="agency")


def sent(service: Service, event: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
    answer = service.handler(event, Context(60))
    return answer["statusCode"], answer["headers"], json.loads(answer["body"])


@pytest.mark.parametrize("path", [WELL_KNOWN, f"{WELL_KNOWN}/mcp"])
def test_the_metadata_is_open_and_names_the_issuer(service: Service, issuer: Issuer, path: str) -> None:
    status, _, metadata = sent(service, http_event("GET", path, host="api.example.com"))
    assert (status, metadata["authorization_servers"]) == (200, [issuer.url])
    assert metadata["resource"] == "https://api.example.com/mcp"


def test_a_401_leads_there_and_says_what_is_wrong(service: Service) -> None:
    for headers, begins in (({}, "Bearer "), ({"authorization": "Bearer x"}, 'Bearer error="invalid_token", ')):
        event = http_event("POST", "/mcp", {}, host="api.example.com", **headers)
        status, answered, _ = sent(service, event)
        url = f"https://api.example.com{WELL_KNOWN}/mcp"
        assert (status, answered["www-authenticate"]) == (401, f'{begins}resource_metadata="{url}"')
    assert sent(service, http_event("GET", "/v1/models"))[1]["www-authenticate"] == "Bearer"


def test_behind_a_stage_its_addresses_have_it_in_front(service: Service) -> None:
    def behind(event: dict[str, Any]) -> dict[str, Any]:
        event["requestContext"] |= {"stage": "dev", "path": f"/dev{event['path']}"}
        return event

    host = {"host": "x.execute-api.eu-central-1.amazonaws.com"}
    base = f"https://{host['host']}/dev"
    _, headers, _ = sent(service, behind(rest_event("POST", "/mcp", {}, **host)))
    assert headers["www-authenticate"] == f'Bearer resource_metadata="{base}{WELL_KNOWN}/mcp"'
    _, _, metadata = sent(service, behind(rest_event("GET", f"{WELL_KNOWN}/mcp", **host)))
    assert metadata["resource"] == f"{base}/mcp"


def test_where_nobody_issues_tokens_there_is_none(start: Callable[..., Service]) -> None:
    service = start()
    assert sent(service, http_event("GET", WELL_KNOWN))[0] == 404


def test_without_the_protocol_nothing_is_open(start: Callable[..., Service], issuer: Issuer) -> None:
    service = start(AUTH="jwt", JWT_ISSUER=issuer.url, JWT_AUDIENCE="agency", PROTOCOLS="files")
    assert sent(service, http_event("GET", WELL_KNOWN))[0] == 401
    assert sent(service, http_event("POST", "/mcp", {}))[1]["www-authenticate"] == "Bearer"


class Tokens:
    """What a client keeps."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def test_the_official_client_gets_a_token_by_itself(issuer: Issuer, tmp_path: Path) -> None:
    issuer.described |= {
        "authorization_endpoint": f"{issuer.url}/authorize",
        "token_endpoint": f"{issuer.url}/token",
        "response_types_supported": ["code"],
    }
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}/mcp"

    async def ask() -> list[str]:
        flow = ClientCredentialsOAuthProvider(url, Tokens(), "me", "secret", issuer=issuer.url)
        async with (
            httpx.AsyncClient(auth=flow, timeout=30) as http,
            streamable_http_client(url, http_client=http) as (read, write, _),
            ClientSession(read, write) as client,
        ):
            await client.initialize()
            return [tool.name for tool in (await client.list_tools()).tools]

    settings = {"AUTH": "jwt", "JWT_ISSUER": issuer.url, "JWT_AUDIENCE": url, "API_KEYS": "", "PORT": str(port)}
    with serve(tmp_path, **settings):
        assert "letters" in asyncio.run(ask())
