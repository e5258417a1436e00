"""Settings of the process: read from the environment once, and from a file while the workers run.

Parsing and checking of values belong here. What a setting does belongs to the module that uses it.
"""
