"""An MCP server on loopback with one tool, in a process of its own, which prints `ready`.

mcp_server.py sse|http|oauth PORT; `oauth` registers every client and agrees to everything.
"""

import socket
import sys

import uvicorn
from fastmcp import FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider


class Announced(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print("ready", flush=True)


def serve(transport: str, port: int) -> None:
    oauth = InMemoryOAuthProvider(
        base_url=f"http://127.0.0.1:{port}", client_registration_options=ClientRegistrationOptions(enabled=True)
    )
    server: FastMCP = FastMCP("words", auth=oauth if transport == "oauth" else None)

    @server.tool(name=f"reverse_{transport}")
    def reverse(word: str) -> str:
        return word[::-1]

    app = server.http_app(transport="sse" if transport == "sse" else "http")
    Announced(uvicorn.Config(app, port=port, log_level="error", ws="none")).run()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
