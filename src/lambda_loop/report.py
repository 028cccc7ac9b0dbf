"""What happened on the event loop during one invocation."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .errors import EventLoopConflict

_LOGGED = 50  # entries of a list in the log line


@dataclass(eq=False)
class InvocationReport:
    """One invocation as the loop saw it. Places are ``file:line`` of the user's code."""

    mode: str  # "patch" or "strict"
    request_id: str = ""
    status: int = 0
    duration_ms: float = 0.0
    longest_stall_ms: float = 0.0
    deadline_exceeded: bool = False
    nested: Counter[tuple[str, str]] = field(default_factory=Counter)  # entries of the running loop by call and place
    thread_waits: Counter[str] = field(default_factory=Counter)  # of the loop's thread for one that needs the loop
    conflicts: list[EventLoopConflict] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)  # what outlived the app's response and was ended
    zombies: list[str] = field(default_factory=list)  # what could not be ended, and is refused the loop
    notes: list[str] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)  # what the app adds to the log line

    @property
    def nested_entries(self) -> int:
        """Count the nested entries; without any, strict mode is possible."""
        return self.nested.total()

    def hidden_conflict(self) -> EventLoopConflict | None:
        """Return the first conflict that its caller did not catch itself."""
        return next((conflict for conflict in self.conflicts if conflict.hidden), None)

    def as_dict(self) -> dict[str, Any]:
        return {
            "request_id": self.request_id,
            "event_loop": self.mode,
            "status": self.status,
            "duration_ms": round(self.duration_ms, 1),
            "longest_stall_ms": round(self.longest_stall_ms, 1),
            "deadline_exceeded": self.deadline_exceeded,
            "nested_entries": self.nested_entries,
            "nested": [{"call": c, "place": p, "count": n} for (c, p), n in self.nested.items()],
            "thread_waits": [{"place": p, "count": n} for p, n in self.thread_waits.items()],
            "conflicts": [{"call": c.call, "place": c.place, "instead": c.instead} for c in self.conflicts],
            "leftovers": _truncated(self.leftovers),
            "zombies": _truncated(self.zombies),
            "notes": _truncated(self.notes),
            **self.fields,
        }


def log_report(report: InvocationReport) -> None:
    print(json.dumps(report.as_dict()), flush=True)


def _truncated(entries: list[str]) -> list[str]:
    return entries if len(entries) <= _LOGGED else [*entries[:_LOGGED], f"and {len(entries) - _LOGGED} more"]
