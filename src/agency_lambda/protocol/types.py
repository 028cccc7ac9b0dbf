"""Types that the protocols share, and the texts that they take."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, StringConstraints

from agency_lambda.protocol import bounds

Event = dict[str, Any]
Item = dict[str, Any]
Status = Literal["completed", "incomplete", "failed"]
Emit = Callable[..., None]
"""Called as (type, **fields); it numbers the event and passes it on."""


type Purpose = Literal["user_data", "vision", "assistants"]
"""What a client uploads a file for."""
PURPOSES: tuple[str, ...] = get_args(Purpose.__value__)


def _checked_text(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("has half of a surrogate pair, which is no character") from None
    return text


Text = Annotated[str, AfterValidator(_checked_text)]
Name = Annotated[str, AfterValidator(_checked_text), StringConstraints(max_length=bounds.NAME)]
ThreadId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,128}$")]
