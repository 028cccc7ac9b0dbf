"""A request becomes a run of an agency, on the history that it continues."""
