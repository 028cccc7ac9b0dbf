"""The offline model: no key, no network, the same words each time; it really calls tools and colleagues."""

from handler.offline.digest import digest
from handler.offline.model import OfflineModel
from handler.offline.plan import Plan, Script, decide
from handler.offline.turn import Call, Turn, read_turn

__all__ = ["Call", "OfflineModel", "Plan", "Script", "Turn", "decide", "digest", "read_turn"]
