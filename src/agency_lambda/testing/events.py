"""Functions for Lambda events and contexts of API Gateway, function URLs and load balancers."""

import json
import time
from typing import Any


class Context:
    """A Lambda context whose clock runs."""

    def __init__(self, seconds: float = 20.0, request_id: str = "request-1") -> None:
        self.aws_request_id = request_id
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self._end - time.monotonic())))


def _text(body: Any) -> str | None:
    return body if body is None or isinstance(body, str) else json.dumps(body)


def rest_event(method: str = "GET", path: str = "/", body: Any = None, **headers: str) -> dict[str, Any]:
    """Return an event of an API Gateway REST API, payload 1.0."""
    headers = {"content-type": "application/json", "host": "localhost", **headers}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": None,
        "requestContext": {
            "resourcePath": "/{proxy+}",
            "httpMethod": method,
            "path": path,
            "stage": "live",
            "requestId": "gateway-1",
            "identity": {"sourceIp": "127.0.0.1", "userAgent": "tests"},
        },
        "body": _text(body),
        "isBase64Encoded": False,
    }


def http_event(method: str = "GET", path: str = "/", body: Any = None, **headers: str) -> dict[str, Any]:
    """Return an event of an HTTP API, payload 2.0; the path may have a query."""
    path, _, query = path.partition("?")
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"content-type": "application/json", "host": "localhost", **headers},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
            "requestId": "gateway-1",
            "stage": "$default",
        },
        "body": _text(body),
        "isBase64Encoded": False,
    }


def function_url_event(method: str = "GET", path: str = "/", body: Any = None, **headers: str) -> dict[str, Any]:
    """Return an event of a function URL, payload 2.0."""
    event = http_event(method, path, body, host="abc.lambda-url.eu-central-1.on.aws", **headers)
    event["requestContext"]["domainName"] = event["headers"]["host"]
    return event


def alb_event(method: str = "GET", path: str = "/", body: Any = None, **headers: str) -> dict[str, Any]:
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/a/1"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {},
        "headers": {"content-type": "application/json", "host": "localhost", **headers},
        "body": _text(body) or "",
        "isBase64Encoded": False,
    }
