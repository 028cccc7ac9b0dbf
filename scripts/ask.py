"""Ask a deployed agency and print its answer: `make ask URL=https://... KEY=... MESSAGE="..."` (AGENCY=name)."""

import os
import sys
import time

from openai import OpenAI, OpenAIError
from openai.types.responses import Response

_UNFINISHED = ("queued", "in_progress")
_PAUSE = 2.0  # seconds between looks at a run that goes on in the background


def main() -> None:
    """Ask, and wait also for a run that outlives the request."""
    url, message = (os.environ.get(name, "") for name in ("URL", "MESSAGE"))
    if not url or not message:
        sys.exit('Nothing asked: write make ask URL=https://... KEY=al_... MESSAGE="..."')
    client = OpenAI(base_url=f"{url.rstrip('/')}/v1", api_key=os.environ.get("KEY") or "none", max_retries=0)
    try:
        response = _answer(client, os.environ.get("AGENCY") or client.models.list().data[0].id, message)
    except OpenAIError as error:
        sys.exit(f"No answer: {error}")
    if response.status != "completed":
        reason = response.error or response.incomplete_details
        sys.exit(f"The run ended as {response.status}: {reason.model_dump_json() if reason else 'no reason given'}")
    print(response.output_text)


def _answer(client: OpenAI, agency: str, message: str) -> Response:
    response = client.responses.create(model=agency, input=message)
    if response.status in _UNFINISHED:
        print(f"{response.id} goes on in the background ...", file=sys.stderr)
    while response.status in _UNFINISHED:
        time.sleep(_PAUSE)
        response = client.responses.retrieve(response.id)
    return response


if __name__ == "__main__":
    main()
