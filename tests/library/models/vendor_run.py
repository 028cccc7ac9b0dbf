"""One run with another vendor's model: `python -m tests.library.models.vendor_run MODEL stream|whole`.

A process of its own, as litellm keeps connections for as long as the process lives.
"""

import json
import sys

import handler  # noqa: F401 - before the framework, as in the service

if __name__ == "__main__":
    from agency_swarm import Agency, Agent, function_tool

    from agency_lambda.settings import get_settings
    from tests.library.runs.stage import play

    @function_tool
    def look(at: str) -> str:
        """Looks at something."""
        return f"saw {at}"

    model, how = sys.argv[1:]

    def create_agency() -> Agency:
        return Agency(Agent(name="Boss", instructions="You are Boss.", model=model, tools=[look]))

    told = play(create_agency, get_settings(), stream=how == "stream")
    shown = {"status": told.response["status"], "words": told.words, "activities": told.activities}
    print(json.dumps({**shown, "usage": told.response["usage"]}))
