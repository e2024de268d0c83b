"""`python -m nova_console.cli`."""

from nova_console.cli import main

main()
