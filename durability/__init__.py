"""Run a node, kill it at an exact byte, let it recover, audit what it had promised."""
