"""The Model Context Protocol, version 2026-07-28 and those with a handshake before it, without HTTP."""
