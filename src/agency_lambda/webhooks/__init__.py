"""What owners' own servers are told of their runs: the endpoints, the deliveries, and how they are sent."""
