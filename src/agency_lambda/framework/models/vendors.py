"""Which vendors besides OpenAI have a key here."""

import os

# The variables of which one is needed, where it is not VENDOR_API_KEY; none: no key is needed.
_VARIABLES = {
    "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_BEARER_TOKEN_BEDROCK", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "gemini": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "vertex_ai": ("GOOGLE_APPLICATION_CREDENTIALS", "VERTEXAI_PROJECT"),
    "together_ai": ("TOGETHERAI_API_KEY", "TOGETHER_AI_TOKEN"),
    "huggingface": ("HF_TOKEN", "HUGGINGFACE_API_KEY"),
    **dict.fromkeys(("ollama", "ollama_chat", "lm_studio", "hosted_vllm", "llamafile"), ()),
}


def has_key(name: str | None) -> bool:
    """Return whether the environment has a key for a model `litellm/VENDOR/MODEL`; False for OpenAI's."""
    prefix, _, rest = (name or "").partition("/")
    if prefix not in ("litellm", "any-llm"):
        return False
    vendor = rest.partition("/")[0]
    variables = _VARIABLES.get(vendor, (f"{vendor.upper()}_API_KEY",))
    return not variables or any(map(os.environ.get, variables))
