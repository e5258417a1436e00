"""Whether and when pods are replaced: requested, scheduled, on changed configuration, on memory. Pure.

The trackers here keep state between passes and are given every reading and every time. What is written about it is
planned and carried out in reconcile/.
"""
