"""The local cluster, and what the tests need of the machine: `python -m dev`, behind the Makefile.

Tests and their fixtures do not belong here: see `tests`. Nor does what a user installs: see `charts`.
"""
