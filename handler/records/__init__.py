"""What is kept of one owner: responses, conversations, idempotency keys. Every record lies under its owner's name.

So another owner's id is simply not there: whoever asks for it gets the same 404 as for an id that never was.
"""

from handler.records.conversations import Conversation, Conversations, busy
from handler.records.history import Place, Turn, load_history, load_turns
from handler.records.idempotency import Claims
from handler.records.leases import Lease, Leases
from handler.records.responses import Kept, Responses

__all__ = [
    "Claims",
    "Conversation",
    "Conversations",
    "Kept",
    "Lease",
    "Leases",
    "Place",
    "Responses",
    "Turn",
    "busy",
    "load_history",
    "load_turns",
]
