"""Calls that wait for a person: their records, who may decide, and what was decided."""
