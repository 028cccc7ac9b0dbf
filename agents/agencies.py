"""The agencies that this service offers: the name in the URL and in `model`, and the function that builds one.

Add yours: put its folder beside `agreement_desk/` and name its `create_agency` below. The first one is the default.
An entry is an import string, or a dict with limits of its own, which hold in place of the settings:

    "shop": {"create_agency": "shop.agency:create_agency", "max_model_calls": 20, "max_output_tokens": 50_000,
             "model": "gpt-5-mini"},

`"messages": {"Boss>Helper": "queue"}` in it sends one agent's messages to another through the queue, as runs of their
own: docs/agent-messages.md.

The folder is a source root of its own: `from example_agent import ...` finds the folder beside `agency.py`. Its name
must not be an installed package's, and `agents/` itself must never get an `__init__.py`. Optional: an `offline.py` in
it, with what each agent says when there is no model to ask.
"""

AGENCIES = {
    "agreement-desk": "agreement_desk.agency:create_agency",
}
