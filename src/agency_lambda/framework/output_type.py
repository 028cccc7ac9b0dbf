"""Whether a run failed because its last words have not the form of the agent's `output_type`."""

from traceback import walk_tb

from agents import AgentOutputSchemaBase


def misses_output_type(failure: BaseException) -> bool:
    """Return whether a failure comes out of an output schema, the SDK's or the agency's own.

    The SDK raises the same ModelBehaviorError for an unknown tool, and a schema of the agency's own raises what it
    likes: only where it was raised tells them apart.
    """
    link: BaseException | None = failure
    while link is not None:
        for frame, _ in walk_tb(link.__traceback__):
            if frame.f_code.co_name == "validate_json" and isinstance(
                frame.f_locals.get("self"), AgentOutputSchemaBase
            ):
                return True
        link = link.__cause__
    return False
