"""The custom resource: its models, the CRD made of them, rules between fields, the platform team's policy. Pure.

What follows from an object for its children does not belong here: see `desired`, `scaling` and `restarts`. What its
status says does not either, only the models of the status: see `status`.
"""
