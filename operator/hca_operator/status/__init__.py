"""What is reported of an object: the conditions of its status, the diagnosis of its pods, and Events. Pure.

The models of the status, with every condition type and reason, do not belong here: see `api.status`. What is read for
it, and when it is stored: see `reconcile`.
"""
