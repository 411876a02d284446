"""`python -m aivax_cli` is `aivax`."""

from aivax_cli.cli.app import main

main()
