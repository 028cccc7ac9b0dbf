"""FastAPI and pydantic-ai, with the messages of a conversation in SQLite, as its chat example has them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing

from desk_tools import INSTRUCTIONS, TOOLS
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from pydantic_ai import Agent, ModelMessage, ModelMessagesTypeAdapter

app = FastAPI()
agent = Agent("openai:gpt-4.1", instructions=INSTRUCTIONS, tools=TOOLS)
FILE = "messages.db"

with closing(sqlite3.connect(FILE)) as file, file:
    file.execute("CREATE TABLE IF NOT EXISTS messages (id INTEGER PRIMARY KEY, session TEXT, list TEXT)")
    file.execute("CREATE INDEX IF NOT EXISTS sessions ON messages (session)")


class Message(BaseModel):
    message: str
    session: str | None = None
    turns: int = 0


def load(session: str) -> list[ModelMessage]:
    with closing(sqlite3.connect(FILE)) as file:
        rows = file.execute("SELECT list FROM messages WHERE session = ? ORDER BY id", (session,)).fetchall()
    return [message for (row,) in rows for message in ModelMessagesTypeAdapter.validate_json(row)]


def save(session: str, messages: bytes, times: int = 1) -> None:
    with closing(sqlite3.connect(FILE)) as file, file:
        file.executemany("INSERT INTO messages (session, list) VALUES (?, ?)", [(session, messages.decode())] * times)


@app.post("/run")
async def run(asked: Message) -> dict[str, str]:
    history = await asyncio.to_thread(load, asked.session) if asked.session else []
    result = await agent.run(asked.message, message_history=history)
    if asked.session:
        await asyncio.to_thread(save, asked.session, result.new_messages_json())
    return {"output": result.output}


@app.post("/stream")
async def stream(asked: Message) -> StreamingResponse:
    async def events() -> AsyncIterator[str]:
        async with agent.run_stream(asked.message) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                yield f"data: {text}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


@app.post("/fill")
async def fill(asked: Message) -> dict[str, int]:
    result = await agent.run(asked.message)
    await asyncio.to_thread(save, asked.session, result.new_messages_json(), asked.turns)
    return {"turns": asked.turns}
