"""Protection from too much load and too many failures: shedding, circuit breakers, error budget.

Measurements that a decision is made from, and the decision, belong here. The work that is protected does not.
"""
