"""Recognises that an answer does not have the form of its agent's `output_type`."""

from traceback import walk_tb

from agents import AgentOutputSchemaBase, ModelBehaviorError

_REDACTED = "Invalid JSON when parsing model output"  # all that openai-agents 0.24 keeps where model data is not logged


def misses_output_type(failure: BaseException) -> bool:
    """Return whether an output schema raised a failure."""
    # Only the traceback tells: the SDK raises the same error for an unknown tool, and own schemas raise anything.
    link: BaseException | None = failure
    while link is not None:
        for frame, _ in walk_tb(link.__traceback__):
            if frame.f_code.co_name == "validate_json" and isinstance(
                frame.f_locals.get("self"), AgentOutputSchemaBase
            ):
                return True
        if isinstance(link, ModelBehaviorError) and link.message == _REDACTED:
            return True
        link = link.__cause__
    return False
