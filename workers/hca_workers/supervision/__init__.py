"""Supervisors: observation of the workers, and the actions that the rules decide on.

Starting, signalling and reaping of processes belong here. Knowledge of a server does not: see `servers`.
"""
