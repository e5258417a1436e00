"""From the object to the manifests of its children, and the numbers that follow from it. Pure.

What also follows from live objects or from the time does not belong here: see `scaling` and `restarts`. Which of the
manifests are written, and when, does not either: see `reconcile`.
"""
