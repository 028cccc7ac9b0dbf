"""Run by modules.py in a bare interpreter: answer one event, then print the source file of every module that ran."""

# A module that is only named, and not yet loaded, does not count. usage: count_modules.py MODULE, the event on stdin.

import sys

ran = []


def note(event, arguments):
    if event == "exec" and arguments[0].co_name == "<module>" and arguments[0].co_filename.endswith(".py"):
        ran.append(arguments[0].co_filename)


sys.addaudithook(note)

import importlib  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402


class Context:
    aws_request_id = "1"
    end = time.monotonic() + 60

    def get_remaining_time_in_millis(self):
        return 1000 * (self.end - time.monotonic())


answer = importlib.import_module(sys.argv[1]).handler(json.load(sys.stdin), Context())
sys.stdout.write(f"\n{json.dumps({'answer': answer, 'ran': ran})}\n")
