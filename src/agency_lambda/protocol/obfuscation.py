"""Padding of deltas, by which who sees only the sizes of encrypted packets learns less of the words."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agency_lambda.protocol.types import Event

_STEP = 16  # characters of a delta and its padding, or a multiple


def padding(delta: str) -> str:
    return secrets.token_hex(_STEP)[: -len(delta) % _STEP]


async def obfuscated(events: AsyncGenerator[Event]) -> AsyncGenerator[Event]:
    """Yield the events, those of deltas with an `obfuscation` field."""
    async with aclosing(events):
        async for event in events:
            if event["type"].endswith(".delta"):
                event = {**event, "obfuscation": padding(event["delta"])}
            yield event
