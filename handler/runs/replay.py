"""The response of an earlier request with the same idempotency key; to the caller it is like a run."""

from collections.abc import AsyncIterator

from handler.errors import again
from handler.protocol.output import Event
from handler.protocol.resource import Resource
from handler.records import Responses


class Replay:
    """See `Run`, whose methods these are."""

    def __init__(self, responses: Responses, response_id: str) -> None:
        self._responses, self._id = responses, response_id

    async def execute(self) -> Resource:
        """Wait for it; raises what the first request raised."""
        kept = await self._responses.final(self._id)
        if error := kept.response["error"]:
            raise again(error["code"], error["message"])
        return kept.response

    def follow(self) -> AsyncIterator[Event]:
        """Its events, from the store."""
        return self._responses.events(self._id)

    async def leave(self) -> None:
        """It goes on without us."""
