"""The agencies of tests of lists: one that asks, waits and fails as it is asked to, and one that only answers."""

AGENCIES = {"post": "post.agency:create_agency", "desk": "post.desk:create_agency"}
