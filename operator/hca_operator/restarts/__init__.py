"""When pods are replaced: on request, by the clock, on changed configuration and on memory."""
