"""The FastAPI app: the service's routes, and yours below.

A route of yours has the service's authentication, limits, errors, CORS headers, request id and event loop:

    from agency_lambda import Owner

    @app.get("/orders/{number}")
    async def order(number: int, owner: Owner) -> dict[str, Any]:
        return {"number": number, "owner": owner}

A route with the method and the path of one of the service's is refused at the start, by name.
"""

from agency_lambda import create_app

app = create_app()
