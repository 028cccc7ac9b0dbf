"""The same with OpenAI's client imported: less than that asks no model."""

import openai  # noqa: F401
from echo import handler

__all__ = ["handler"]
