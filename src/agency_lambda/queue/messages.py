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


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event that an owner's webhook is to get. id: the event's."""

    id: str
    owner: str


type Message = str | Export | Delivery
"""The id of a run that waits for a worker, an export, or a delivery."""


def owner_of(message: Message, owner: str) -> str:
    """Return the owner of a message. owner: of a run's, which does not name it."""
    return owner if isinstance(message, str) else message.owner


def dump(message: Message) -> str:
    match message:
        case Export():
            return json.dumps({"export": asdict(message)})
        case Delivery():
            return json.dumps({"delivery": asdict(message)})
    return json.dumps({"run": message})


def load(body: str) -> Message:
    """Return the message in the body of a queue's. Raises ValueError, KeyError or TypeError."""
    fields = json.loads(body)
    if "export" in fields:
        return Export(**fields["export"])
    if "delivery" in fields:
        return Delivery(**fields["delivery"])
    run = fields["run"]
    if not isinstance(run, str):
        raise TypeError(f"the run is {run!r}, and no text")
    return run
