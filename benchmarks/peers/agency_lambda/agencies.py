"""What this project serves beside its peers; a source root of its own."""

AGENCIES = {"desk": "desk:create_agency"}
