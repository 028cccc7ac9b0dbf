"""FastAPI, the Agents SDK, and its session in SQLite: a route as its documentation has it."""

from collections.abc import AsyncIterator

from agents import Agent, Runner, SQLiteSession, function_tool
from desk_tools import INSTRUCTIONS, TOOLS
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

app = FastAPI()
agent = Agent(name="Desk", instructions=INSTRUCTIONS, model="gpt-4.1", tools=[function_tool(tool) for tool in TOOLS])


class Message(BaseModel):
    message: str
    session: str | None = None


class Turns(BaseModel):
    session: str
    turns: int
    items: list[dict[str, object]]


@app.post("/run")
async def run(asked: Message) -> dict[str, str]:
    session = SQLiteSession(asked.session, "sessions.db") if asked.session else None
    try:
        result = await Runner.run(agent, asked.message, session=session)
    finally:
        if session:
            session.close()
    return {"output": result.final_output}


@app.post("/stream")
async def stream(asked: Message) -> StreamingResponse:
    result = Runner.run_streamed(agent, asked.message)

    async def events() -> AsyncIterator[str]:
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                yield f"data: {event.data.model_dump_json()}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/fill")
async def fill(asked: Turns) -> dict[str, int]:
    session = SQLiteSession(asked.session, "sessions.db")
    await session.add_items(asked.items * asked.turns)
    session.close()
    return {"turns": asked.turns}
