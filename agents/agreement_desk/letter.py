"""The letter that the offline model writes: polite, and built from the client's own words."""

import re

READ = 2_000  # characters of a message that are searched for the client and the subject
VERBS = "asks?|asked|asking|wants?|wanted|needs?|writes?|wrote|says?|said|requests?|reports?|would"
# A name starts with anything but a small Latin letter: "the client who asks" names nobody.
NAME = r"[\"'“„«]?([^\sa-z\"'“”„«»][^\"“”„«»]{0,80}?)[\"'”“»]?"
CLIENT = re.compile(rf"\b(?i:client|customer) {NAME} (?:{VERBS})\b")
SUBJECT = re.compile(r"\b(?:asks?|asked|asking) (?:us )?about (.{1,200}?)(?=[.?!…](?: |$)|$)", re.I)


def client_in(text: str) -> str | None:
    """The name in "Client Weber GmbH asks ...", if the text has such a sentence."""
    found = CLIENT.search(_one_line(text))
    return found[1].strip(" ,:;") or None if found else None


def subject_of(request: str, limit: int) -> str:
    """What the request is about, in at most `limit` characters of its own words."""
    found = SUBJECT.search(_one_line(request))
    return _shortened(found[1] if found else _one_line(request), limit)


def write_letter(task_id: int, client: str | None, request: str) -> str:
    about = SUBJECT.search(_one_line(request))
    words = f"about {_shortened(about[1], 200)}" if about else f"“{subject_of(request, 300)}”"
    return (
        f"Dear {client or 'Sir or Madam'},\n\n"
        f"Thank you for your message {words}. We have recorded it under number {task_id}, and the colleagues "
        "responsible are looking into it. You will have our full answer as soon as they have confirmed the "
        "details.\n\n"
        "Please quote the number if you write to us in the meantime.\n\n"
        "Kind regards\nAgreement Desk"
    )


def _one_line(text: str) -> str:
    return " ".join(text[:READ].split())


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"
