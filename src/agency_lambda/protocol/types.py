from collections.abc import Callable
from typing import Any, Literal

Event = dict[str, Any]
Item = dict[str, Any]
Status = Literal["completed", "incomplete", "failed"]
Emit = Callable[..., None]
"""Called as (type, **fields); it numbers the event and passes it on."""
