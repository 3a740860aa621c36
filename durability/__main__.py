"""`python -m durability` is the command line."""

from durability.cli import main

main()
