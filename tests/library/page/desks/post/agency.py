"""Clerk sends letters if a person approves, asks persons, waits, and fails."""

import asyncio
from typing import Any

from agency_swarm import Agency, Agent, function_tool
from pydantic import BaseModel

from agency_lambda import ask_person


class Address(BaseModel):
    name: str
    lines: list[str]


@function_tool(needs_approval=True)
async def send_letter(to: str, text: str, pages: int, registered: bool) -> str:
    """Send a letter."""
    return f"sent {pages} registered={registered} to {to}: {text}"


@function_tool(needs_approval=True)
async def send_parcel(address: Address) -> str:
    """Send a parcel."""
    return f"sent a parcel to {address.name}"


@function_tool
async def wait(seconds: int) -> str:
    """Wait so many seconds."""
    await asyncio.sleep(seconds)
    return f"waited {seconds}"


def create_agency(load_threads_callback: Any = None, save_threads_callback: Any = None) -> Agency:
    """Build a new agency of a new agent."""
    tools = [send_letter, send_parcel, ask_person, wait]
    clerk = Agent(name="Clerk", instructions="You send what you are asked to.", tools=tools)
    return Agency(
        clerk,
        name="Post",
        load_threads_callback=load_threads_callback,
        save_threads_callback=save_threads_callback,
    )
