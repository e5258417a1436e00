"""A shop's API that shows the techniques of high concurrency, one module for each.

Read the folders in this order; the docstring of each says what belongs in it:

- `configuration`: typed settings that fail early and by name, and those that change in a running worker
- `data`: a bounded pool, a database that may be unavailable, cache-aside with one load per key
- `domain`: paging at constant cost, state that any worker can serve, orders that are placed once
- `http`: parameters within bounds, request ids, one shape for every error
- `routes`: the API itself, bodies of any size at constant memory, and trouble on purpose (`rehearsal`)
- `offload`: CPU-bound work beside the event loop, and writes in batches
- `overload`: refusing early what cannot be served in time, circuit breakers, the error budget
- `workers`: slots, heartbeats, a watchdog and draining for the worker processes of a pod
- `observation`: metrics summed over all workers, access log, traces
- `edge`: what is done around every request, and what that may cost

`dependencies` chooses what the settings ask for, `app` puts it together. Imports point one way: an import contract in
`pyproject.toml` of the repository has the order.
"""
