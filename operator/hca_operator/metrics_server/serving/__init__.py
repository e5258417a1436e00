"""The external metrics API as the autoscaler asks it."""
