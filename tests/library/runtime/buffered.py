"""handler.api.handler in a process of its own: an event a line in, an answer a line out."""

import json
import sys
import time
import uuid

from awslambdaric.lambda_context import LambdaContext

from handler.api import handler

for line in sys.stdin:
    context = LambdaContext(str(uuid.uuid4()), None, None, int(1000 * time.time()) + 60_000)
    print("ANSWER " + json.dumps(handler(json.loads(line), context)), flush=True)
