"""FastAPI behind Mangum, and nothing else."""

from fastapi import FastAPI
from mangum import Mangum
from pydantic import BaseModel

app = FastAPI()


class Message(BaseModel):
    message: str


@app.post("/echo")
async def echo(message: Message) -> dict[str, str]:
    return {"echo": message.message}


handler = Mangum(app, lifespan="off")
