"""`python -m fuzz`: the command line, also where its script is not installed."""

from fuzz.cli import main

main(prog_name="raft-fuzz")
