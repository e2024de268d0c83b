"""A node of the mesh."""

import os

# gRPC reads these when it is first imported, wherever that is. Its C core writes on the terminal
# otherwise; and its older poller has one thread hop less for each message, a fifth off a round trip.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
# No suite of TLS 1.2 that a P-256 certificate could be used with: only TLS 1.3 is left.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES128-GCM-SHA256")
