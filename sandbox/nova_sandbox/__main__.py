"""`python -m nova_sandbox`."""

from nova_sandbox.cli import main

main()
