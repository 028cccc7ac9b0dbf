"""One HTTPS request, from event to answer."""
