"""Runs in a process of its own (see test_cold_start.py): sends stdin's event through handler.api.

The last line of stdout is JSON: {"answer": ..., "loaded": [module, ...], "frozen": objects, "is_collecting": bool}.
"""

import gc
import json
import sys

from agency_lambda.testing.events import Context
from handler.api import handler

answer = handler(json.load(sys.stdin), Context(60))
loaded = sorted(sys.modules)
print(
    "\n"
    + json.dumps({"answer": answer, "loaded": loaded, "frozen": gc.get_freeze_count(), "is_collecting": gc.isenabled()})
)
