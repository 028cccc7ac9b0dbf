"""The offline model: deterministic, without key or network; it really calls tools and colleagues."""

from agency_lambda.offline.digest import digest
from agency_lambda.offline.plan import Plan, Script, decide
from agency_lambda.offline.turn import FinishedCall, Turn, read_turn

__all__ = ["FinishedCall", "Plan", "Script", "Turn", "decide", "digest", "read_turn"]
