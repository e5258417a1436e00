"""The worker processes of a pod: a number and a heartbeat for each, and the end of a process that hangs or drains.

Files, locks and signals between processes belong here. Metrics of the workers do not: see `observation`.
"""
