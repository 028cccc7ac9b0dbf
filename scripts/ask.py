"""Ask a deployed agency: `make ask URL=https://... KEY=... MESSAGE="..."` (AGENCY=name); `make stream` likewise."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
from openai import APIConnectionError, OpenAI, OpenAIError
from openai.types.responses import Response

_UNFINISHED = ("queued", "in_progress")
_PAUSE = 2.0  # seconds between looks at a run that goes on in the background, and before a broken stream is resumed


def main() -> None:
    """Ask, and wait also for a run that outlives the request."""
    url, message = (os.environ.get(name, "") for name in ("URL", "MESSAGE"))
    if not url or not message:
        sys.exit('Nothing asked: write make ask URL=https://... KEY=al_... MESSAGE="..."')
    client = OpenAI(base_url=f"{url.rstrip('/')}/v1", api_key=os.environ.get("KEY") or "none", max_retries=0)
    try:
        agency = os.environ.get("AGENCY") or client.models.list().data[0].id
        response = _streamed(client, agency, message) if "--stream" in sys.argv else _whole(client, agency, message)
    except (OpenAIError, httpx.TransportError) as error:
        sys.exit(f"No answer: {error}")
    if response.status != "completed":
        reason = response.error or response.incomplete_details
        sys.exit(f"The run ended as {response.status}: {reason.model_dump_json() if reason else 'no reason given'}")


def _whole(client: OpenAI, agency: str, message: str) -> Response:
    response = client.responses.create(model=agency, input=message)
    if response.status in _UNFINISHED:
        print(f"{response.id} goes on in the background ...", file=sys.stderr)
    while response.status in _UNFINISHED:
        time.sleep(_PAUSE)
        response = client.responses.retrieve(response.id)
    print(response.output_text)
    return response


def _streamed(client: OpenAI, agency: str, message: str) -> Response:
    """Follow the events; where a stream ends before its run does, go on with another behind the last one."""
    seen, looking = Seen(), client.with_options(max_retries=3)
    seen.follow(partial(client.responses.create, model=agency, input=message, stream=True))
    while seen.response and seen.response.status in _UNFINISHED:
        time.sleep(_PAUSE)
        made, number = seen.response.id, seen.number
        seen.follow(partial(looking.responses.retrieve, made, stream=True, starting_after=number))
        if seen.number == number:
            seen.response = looking.responses.retrieve(made)
            if seen.response.status not in _UNFINISHED:
                print(f"\n{seen.response.output_text}", end="")
    print()
    if seen.response is None:
        raise OpenAIError("the stream ended before it began")
    return seen.response


class Seen:
    """What was shown so far: `response` as the last event had it, `number` of that event."""

    def __init__(self) -> None:
        self.response: Response | None = None
        self.number = -1
        self._speaks = ""

    def follow(self, ask: Callable[[], Any]) -> None:
        """Show each event of the stream that is asked for; a connection that breaks ends it, as an end does."""
        try:
            for event in ask():
                self._show(event)
        except (APIConnectionError, httpx.TransportError):
            if self.response is None:
                raise

    def _show(self, event: Any) -> None:
        self.number = event.sequence_number
        self.response = getattr(event, "response", self.response)
        if event.type == "response.output_item.added" and event.item.type == "message":
            self._speaks = f"\n{event.item.agent}: "
        elif event.type == "response.reasoning_summary_text.done":
            print(f"  {event.text}", flush=True)
        elif event.type == "response.output_text.delta":
            print(self._speaks, event.delta, sep="", end="", flush=True)
            self._speaks = ""


if __name__ == "__main__":
    main()
