"""The agencies that the page's tests serve: one that works, and one whose names are hostile."""

AGENCIES = {"studio": "studio.agency:create_agency", "hostile": "hostile.agency:create_agency"}
