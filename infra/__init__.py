"""What AWS is asked for. Imports neither handler nor agents: it knows only their paths."""
