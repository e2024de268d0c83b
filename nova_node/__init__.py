"""A node of the mesh."""

import os

# gRPC reads these when it is first imported, wherever that is. Its C core writes on the terminal
# otherwise; and its older poller has one thread hop less for each message, a fifth off a round trip.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
