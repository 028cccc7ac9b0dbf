"""Agency Swarm without this service: `python -m tests.library.features.bare TEAM ...`, at OPENAI_BASE_URL."""

import asyncio
import sys

from agency_swarm.utils import thread

from tests.library.features.teams import TEAMS


async def main(names: list[str]) -> None:
    assert thread.ThreadManager.__module__ == thread.__name__, "the service has changed the framework"
    for name in names:
        agency = TEAMS[name].create([])
        for fields in TEAMS[name].turns:
            assert not callable(fields)
            print((await agency.get_response(fields["input"])).final_output)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
