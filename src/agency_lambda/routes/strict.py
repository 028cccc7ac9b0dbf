"""Routes that refuse what they do not read."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from agency_lambda.errors import InvalidRequest, UnsupportedParameter
from agency_lambda.middleware.size_limits import replay

_NOTHING = (b"", b"{}", b"null")  # what clients send where there is nothing to say
_LISTS = frozenset({"include", "include[]"})  # parameters that a client repeats
_SIGNATURE = "X-Amz-"  # of a presigned URL, where AWS credentials sign; the gateway has read it


class StrictRoute(APIRoute):
    """Refuse unknown or repeated query parameters, and a body where the route reads none."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._known = frozenset(_query_parameters(self.dependant))
        # A route that documents its body by itself reads it by itself: a form, as FastAPI's parser has no limits.
        self._reads_body = self.body_field is not None or "requestBody" in (self.openapi_extra or {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises UnsupportedParameter, InvalidRequest."""
        if scope["method"] in (self.methods or ()):
            if scope["query_string"]:
                self._refuse_unknown(scope["query_string"])
            if not self._reads_body:
                receive = await _without_content(receive)
        await super().handle(scope, receive, send)

    def _refuse_unknown(self, query: bytes) -> None:
        seen: set[str] = set()
        for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
            if name not in self._known and not name.startswith(_SIGNATURE):
                raise UnsupportedParameter(f"Unsupported query parameter: {name[:99]!r}.", param=name)
            if name in seen - _LISTS:
                raise InvalidRequest(f"The query parameter {name[:99]!r} was given twice.", param=name)
            seen.add(name)


def _query_parameters(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _query_parameters(each)


async def _without_content(receive: Receive) -> Receive:
    """Repeat the message of an empty body."""
    first = await receive()
    if first["type"] == "http.request" and first.get("body", b"").strip() not in _NOTHING:
        raise UnsupportedParameter("This route takes no body.")
    return replay(first, receive)
