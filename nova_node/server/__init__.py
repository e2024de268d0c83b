"""The gRPC services of a node: requests become signals, answers come from the engine's state."""
