from typing import Any

from agents import RunContextWrapper


def tell(_: RunContextWrapper[Any], error: Exception) -> str:
    """What the model reads when a tool fails. The SDK's own text adds "Please try again": a way into a loop."""
    return f"Error: {error}"
