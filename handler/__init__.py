"""One HTTPS request, from event to answer."""

import os

# Importing agency_swarm would load a `.env` from above site-packages over the real variables, after we have read them.
os.environ["PYTHON_DOTENV_DISABLED"] = "1"
