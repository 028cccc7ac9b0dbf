"""Errors that the gateway answers itself, in the service's shape."""

import json
from collections.abc import Iterator, Mapping

from aws_cdk import aws_apigateway as gateway

from agency_lambda_cdk.environment import Environment

_NOT_SIGNED = "No AWS credentials sign this request, or its signature does not hold."
_REFUSED = "The gateway refused this request: $context.error.responseType."
_FAILED = "The gateway got no answer: $context.error.responseType. The request id finds it in the access log."
#: the gateway's type -> OpenAI's type, our code, our sentence. What is not here takes one of the two DEFAULTs.
_ERRORS = {
    "DEFAULT_4XX": ("invalid_request_error", "invalid_request", _REFUSED),
    "DEFAULT_5XX": ("server_error", "internal_error", _FAILED),
    "ACCESS_DENIED": ("permission_error", "forbidden", "This caller may not do this."),
    "EXPIRED_TOKEN": ("authentication_error", "unauthenticated", _NOT_SIGNED),
    "INTEGRATION_TIMEOUT": ("server_error", "deadline_exceeded", "The answer took longer than the gateway waits."),
    "INVALID_API_KEY": ("authentication_error", "unauthenticated", "The gateway does not know this key."),
    "INVALID_SIGNATURE": ("authentication_error", "unauthenticated", _NOT_SIGNED),
    "MISSING_AUTHENTICATION_TOKEN": ("authentication_error", "unauthenticated", _NOT_SIGNED),
    "QUOTA_EXCEEDED": ("rate_limit_error", "rate_limited", "This caller's quota is used up."),
    "REQUEST_TOO_LARGE": (
        "invalid_request_error",
        "payload_too_large",
        "The request is larger than the gateway takes.",
    ),
    "RESOURCE_NOT_FOUND": ("invalid_request_error", "not_found", "Not Found"),
    "THROTTLED": ("rate_limit_error", "rate_limited", "There are more requests than this deployment takes. Try again."),
    "UNAUTHORIZED": ("authentication_error", "unauthenticated", "The gateway's authorizer does not know this caller."),
    "UNSUPPORTED_MEDIA_TYPE": ("invalid_request_error", "unsupported_media_type", "The gateway takes JSON."),
    "WAF_FILTERED": ("permission_error", "forbidden", "The firewall refused this request."),
}
_FIVES = ("DEFAULT_5XX", "INTEGRATION_TIMEOUT")


def answer_errors(api: gateway.RestApi, environment: Environment) -> None:
    """Give the gateway's own answers the shape and the headers of the app's."""
    cors = dict(_cors(environment.variables.get("CORS_ORIGINS", "")))
    for name, (kind, code, message) in _ERRORS.items():
        error = {"message": message, "type": kind, "param": None, "code": code, "request_id": "$context.requestId"}
        api.add_gateway_response(
            name,
            type=gateway.ResponseType.of(name),
            templates={"application/json": json.dumps({"error": error})},
            response_headers={"x-request-id": "context.requestId", **cors, **_retry(name, kind)},
        )


def _retry(name: str, kind: str) -> Mapping[str, str]:
    # OpenAI's clients repeat a POST that got a 5xx, and agents may have worked.
    if kind == "rate_limit_error":
        return {"retry-after": "'1'"}
    return {"x-should-retry": "'false'"} if name in _FIVES else {}


def _cors(origins: str) -> Iterator[tuple[str, str]]:
    # The header has room for one origin. With several it allows any: these errors hold nobody's data.
    allowed = [origin.strip().lower() for origin in origins.split(",") if origin.strip()]
    if allowed:
        yield "access-control-allow-origin", f"'{allowed[0]}'" if len(allowed) == 1 else "'*'"
        yield "access-control-expose-headers", "'x-request-id, retry-after'"
