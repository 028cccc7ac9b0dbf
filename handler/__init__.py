"""What runs on Lambda, and on a laptop. Each module below is one way in."""

from agency_lambda import cold_start

cold_start.begin()  # before anything else is imported
