"""The agencies that the library's tests serve. Those in the repository's `agents/` are never read here."""

AGENCIES = {"letters": "letters.agency:create_agency", "payments": "payments.agency:create_agency"}
