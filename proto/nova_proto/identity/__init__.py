"""Who somebody in a mesh is: what both ends of the protocol must see the same way.

Rule: nothing here knows a node or a client, and only `tls` and `enrol` load grpc.
"""

import os

# gRPC reads these when it is first imported, wherever that is. With P-256 certificates no cipher
# is left but those of TLS 1.3; for the other two see nova_node/__init__.py.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES128-GCM-SHA256")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")
