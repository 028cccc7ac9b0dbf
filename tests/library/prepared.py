"""A process prepared for a snapshot, and its clones: started by test_snapshot.py, one JSON line each."""

import json
import os
import random
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

from snapshot_restore_py import get_after_restore, get_before_snapshot

from agency_lambda.testing.events import Context, rest_event
from handler import api


def main() -> None:
    """The snapshot lies between two lines of standard input: clones are forked from the same memory, one by one."""
    if os.environ.get("WITHOUT_OFFLINE_MODEL"):
        sys.modules["agency_lambda.offline"] = None  # type: ignore[assignment]  # as where the folder is not there
    for call, arguments, named in reversed(get_before_snapshot()):
        call(*arguments, **named)
    tell(connections=len(connections()), seen=seen(), key=os.environ.get("OPENAI_API_KEY"))
    client = made_at_the_top() if "OPENAI_API_KEY" in os.environ else None
    events = [
        rest_event("POST", "/v1/responses", json.loads(line), authorization=os.environ["BEARER"]) for line in sys.stdin
    ]
    for event in events:
        if (clone := os.fork()) == 0:
            answer(event, client)
            os._exit(0)
        os.waitpid(clone, 0)


def made_at_the_top() -> Any:
    """A client of an agency's module, which is imported before the snapshot."""
    from openai import OpenAI

    return OpenAI()


def answer(event: dict[str, Any], client: Any) -> None:
    """In a clone."""
    for call, arguments, named in get_after_restore():
        call(*arguments, **named)
    known = set(sys.modules)
    made = api.handler(event, Context(60))
    body = json.loads(made["body"])
    tell(
        status=made["statusCode"],
        id=body.get("id"),
        output=str(body)[:2000],
        imported=sorted(set(sys.modules) - known),
        connections=sorted(connections()),
        seen=seen(),
        other=os.environ.get("OTHER_API_KEY"),
        client=client and ask(client),
    )


def ask(client: Any) -> str:
    from openai import OpenAIError

    try:
        return str(client.responses.create(model="gpt-5", input="hello").output_text)
    except OpenAIError as error:
        return str(error)


def seen() -> list[str]:
    """What must be another in every clone."""
    with tempfile.NamedTemporaryFile() as file:
        return [str(random.random()), str(uuid.uuid4()), os.path.basename(file.name)]


def connections() -> set[str]:
    """The TCP connections of this process, by inode."""
    mine = {os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()}
    inodes = {line.split()[9] for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]}
    return {inode for inode in inodes if f"socket:[{inode}]" in mine}


def tell(**what: Any) -> None:
    print("TOLD", json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
