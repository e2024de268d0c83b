"""Messages and services of the mesh, generated from the .proto files beside them."""
