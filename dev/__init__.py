"""The local cluster, and what the tests need of the machine: `python -m dev`, behind the Makefile."""
