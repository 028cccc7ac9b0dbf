"""Where a model's requests go."""

from agents import Model
from agents.models.openai_chatcompletions import OpenAIChatCompletionsModel
from agents.models.openai_responses import OpenAIResponsesModel

from agency_lambda.validators import is_openai_host


def is_openai(model: Model) -> bool:
    """Return whether OpenAI itself answers, at one of its regional hosts too."""
    if not isinstance(model, OpenAIResponsesModel | OpenAIChatCompletionsModel):
        return False
    url = getattr(getattr(model, "_client", None), "base_url", None)
    return is_openai_host(getattr(url, "host", None))
