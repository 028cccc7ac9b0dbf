"""The offline model: no key, no network, the same words each time; it really calls tools and colleagues."""

from agency_lambda.offline.digest import digest
from agency_lambda.offline.model import OfflineModel
from agency_lambda.offline.plan import Plan, Script, decide
from agency_lambda.offline.turn import Call, Turn, read_turn

__all__ = ["Call", "OfflineModel", "Plan", "Script", "Turn", "decide", "digest", "read_turn"]
