"""The agencies this service offers: the name in the URL and in `model`, and the factory that builds one.

Add yours: put its folder beside `agreement_desk/`, import its `create_agency` here and give it a name below.
The folder must not be called like an installed package, and `agents/` itself must never get an `__init__.py`.
A factory takes `load_threads_callback` and `save_threads_callback` (both may be ignored) and returns a NEW
Agency of NEW Agents on every call: one that is shared leaks one user's history into another's. Optional:
an `offline.py` in the folder, with what each agent says when there is no model to ask.
"""

from collections.abc import Callable

from agency_swarm import Agency

from agreement_desk.agency import create_agency as create_agreement_desk

AGENCIES: dict[str, Callable[..., Agency]] = {
    "agreement-desk": create_agreement_desk,
}
