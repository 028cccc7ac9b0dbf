"""The FastAPI app: the service's routes, and yours.

A route of yours has the service's authentication, limits, errors and event loop. For example:

    @app.get("/orders/{number}")
    async def order(number: int, owner: Owner) -> dict[str, Any]:  # from agency_lambda.routes.dependencies
        return {"number": number, "owner": owner}
"""

from agency_lambda import create_app

app = create_app()
