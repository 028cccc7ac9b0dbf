"""Where the app lies behind an API Gateway: `root_path`, the path behind it, and the links that we hand out."""

import json
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.testclient import TestClient

from agency_lambda.testing.events import Context, alb_event, function_url_event, http_event, rest_event
from lambda_loop import EnvironmentLoop

app = FastAPI()


@app.get("/{path:path}")
async def where(request: Request, path: str) -> dict[str, str]:
    """Which route was found, and the address by which the client would come back."""
    return {"path": f"/{path}", "root": request.scope["root_path"], "url": request.url_for("where", path="x").path}


def rest(
    path: str, stage: str, sent: str, domain: str = "abc.execute-api.eu-central-1.amazonaws.com"
) -> dict[str, Any]:
    event = rest_event("GET", path)
    event["requestContext"] |= {"stage": stage, "path": sent, "domainName": domain}
    return event


def http(sent: str, stage: str, domain: str = "abc.execute-api.eu-central-1.amazonaws.com") -> dict[str, Any]:
    event = http_event("GET", sent)
    event["requestContext"] |= {"stage": stage, "domainName": domain}
    return event


def found(event: dict[str, Any], resource: str, **parameters: str) -> dict[str, Any]:
    """The event with the resource, or the route, that the gateway found for it."""
    name, value = ("routeKey", f"ANY {resource}") if event.get("version") == "2.0" else ("resource", resource)
    return {**event, name: value, "pathParameters": parameters or None}


def mapped(path: str, proxy: str, stage: str = "dev") -> dict[str, Any]:
    """A REST API behind a custom domain's base path: both of its paths have it, the parameter has not."""
    return found(rest(path, stage, path, CUSTOM), "/{proxy+}", proxy=proxy)


def http_1_0(path: str, stage: str, sent: str) -> dict[str, Any]:
    return {**rest(path, stage, sent), "version": "1.0"}


CUSTOM = "api.example.com"
CASES = {
    "REST, base path": (mapped("/agents/v1/x", "v1/x"), "/v1/x", "/agents"),
    "REST, base path of two steps": (mapped("/our/agents/v1/x", "v1/x"), "/v1/x", "/our/agents"),
    "REST, base path and stage, as a mapping without a stage has it": (
        mapped("/agents/dev/v1/x", "v1/x"),
        "/v1/x",
        "/agents/dev",
    ),
    "REST, a domain without a base path, and the stage": (mapped("/dev/v1/x", "v1/x"), "/v1/x", "/dev"),
    "REST, base path with the name of the stage": (mapped("/dev/dev/x", "dev/x"), "/dev/x", "/dev"),
    "REST, base path, escaped": (mapped("/agents/a%20b/x", "a b/x"), "/a b/x", "/agents"),
    "REST, base path, a slash at the end": (mapped("/agents/v1/x/", "v1/x"), "/v1/x/", "/agents"),
    "REST, base path that is also a step": (mapped("/v1/v1/v1", "v1/v1"), "/v1/v1", "/v1"),
    "REST, base path, another resource": (
        found(rest("/agents/v1/responses/r1/x", "dev", "/agents/v1/responses/r1/x", CUSTOM), "/v1/responses/{id}/{p+}")
        | {"pathParameters": {"id": "r1", "p": "x"}},
        "/v1/responses/r1/x",
        "/agents",
    ),
    "REST, base path, no parameters": (
        found(rest("/agents/health", "dev", "/agents/health", CUSTOM), "/health"),
        "/health",
        "/agents",
    ),
    "REST, base path, its root": (found(rest("/agents", "dev", "/agents", CUSTOM), "/"), "/", "/agents"),
    "REST, a parameter that is not there": (found(rest("/v1/x", "dev", "/dev/v1/x"), "/{p+}"), "/v1/x", "/dev"),
    "REST, a context that has the resource for the path": (rest("/v1/x", "Prod", "/{proxy+}"), "/v1/x", ""),
    "HTTP, base path": (
        found(http("/agents/v1/x", "$default", CUSTOM), "/{proxy+}", proxy="v1/x"),
        "/v1/x",
        "/agents",
    ),
    "HTTP, base path and stage": (
        found(http("/agents/dev/v1/x", "dev", CUSTOM), "/{proxy+}", proxy="v1/x"),
        "/v1/x",
        "/agents/dev",
    ),
    "HTTP, its own routes": (found(http("/dev/v1/x", "dev"), "/v1/{proxy+}", proxy="x"), "/v1/x", "/dev"),
    "HTTP, payload 1.0, base path": ({**mapped("/agents/v1/x", "v1/x"), "version": "1.0"}, "/v1/x", "/agents"),
    "REST": (rest("/v1/x", "dev", "/dev/v1/x"), "/v1/x", "/dev"),
    "REST, its root": (rest("/", "dev", "/dev/"), "/", "/dev"),
    "REST, its root without a slash": (rest("/", "dev", "/dev"), "/", "/dev"),
    "REST, a path that begins like the stage": (
        rest("/development/x", "dev", "/dev/development/x"),
        "/development/x",
        "/dev",
    ),
    "REST, a resource with the name of the stage": (rest("/dev/x", "dev", "/dev/dev/x"), "/dev/x", "/dev"),
    "REST, a path that is escaped": (rest("/a b/x", "dev", "/dev/a%20b/x"), "/a b/x", "/dev"),
    "REST, custom domain": (rest("/v1/x", "dev", "/v1/x", CUSTOM), "/v1/x", ""),
    "REST, custom domain, a resource with the name of the stage": (
        rest("/dev/x", "dev", "/dev/x", CUSTOM),
        "/dev/x",
        "",
    ),
    "REST, custom domain, escaped": (rest("/dev/a b", "dev", "/dev/a%20b", CUSTOM), "/dev/a b", ""),
    "HTTP": (http("/dev/v1/x", "dev"), "/v1/x", "/dev"),
    "HTTP, its root": (http("/dev/", "dev"), "/", "/dev"),
    "HTTP, its root without a slash": (http("/dev", "dev"), "/", "/dev"),
    "HTTP, a path that begins like the stage": (http("/dev/development/x", "dev"), "/development/x", "/dev"),
    "HTTP, a resource with the name of the stage": (http("/dev/dev/x", "dev"), "/dev/x", "/dev"),
    "HTTP, no stage but what begins like it": (http("/development/x", "dev"), "/development/x", ""),
    "HTTP, $default": (http("/v1/x", "$default"), "/v1/x", ""),
    "HTTP, $default, a path like it": (http("/$default/x", "$default-"), "/$default/x", ""),
    "HTTP, custom domain": (http("/v1/x", "v1", CUSTOM), "/v1/x", ""),
    "HTTP, payload 1.0": (http_1_0("/v1/x", "dev", "/dev/v1/x"), "/v1/x", "/dev"),
    "HTTP, payload 1.0, not cut off": (http_1_0("/dev/v1/x", "dev", "/dev/v1/x"), "/v1/x", "/dev"),
    "function URL": (function_url_event("GET", "/v1/x"), "/v1/x", ""),
    "load balancer": (alb_event("GET", "/v1/x"), "/v1/x", ""),
    "load balancer, a path like no stage": (alb_event("GET", "/None/x"), "/None/x", ""),
}


@pytest.fixture(scope="module")
def handler() -> Any:
    environment = EnvironmentLoop(app, "patch", on_report=lambda report: None)
    yield environment
    environment.close()


@pytest.mark.parametrize("case", CASES)
def test_a_route_is_found_and_a_link_leads_back(handler: EnvironmentLoop, case: str) -> None:
    event, path, root = CASES[case]
    before = json.dumps(event)
    answer = handler(event, Context())
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"path": path, "root": root, "url": f"{root}/x"})
    assert json.dumps(event) == before


def test_the_event_says_it_only_on_lambda() -> None:
    """Under a server, whoever mounts the app says where."""
    assert TestClient(app, root_path="/mounted").get("/x").json()["root"] == "/mounted"
