"""What messages of the queue say."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Export:
    """A run whose record goes to a collector. queued_at: Unix seconds. failures: of exports of this run so far."""

    run: str
    owner: str
    queued_at: float
    failures: int = 0


type Message = str | Export
"""The id of a run that waits for a worker, or an export."""


def dump(message: Message) -> str:
    return json.dumps({"export": asdict(message)} if isinstance(message, Export) else {"run": message})


def load(body: str) -> Message:
    """Return the message in the body of a queue's. Raises ValueError, KeyError or TypeError."""
    fields = json.loads(body)
    if "export" in fields:
        return Export(**fields["export"])
    run = fields["run"]
    if not isinstance(run, str):
        raise TypeError(f"the run is {run!r}, and no text")
    return run
