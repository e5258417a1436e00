"""A shop's API that shows the techniques of high concurrency, one module for each.

Read them in this order:

- `settings`: typed configuration that fails early and by name
- `cache`: bounded memory, spread expiry, one load per key however many ask
- `products`: paging whose cost does not grow with the page
- `carts`: state that any worker of any pod can serve, because the client carries it
- `cpu`: CPU-bound work beside the event loop, and what the GIL makes of it
- `vitals`: how late the loop runs, how much memory the worker holds
- `worker_slots`, `metrics`: one answer to a scrape for all worker processes of the pod
- `observation`, `request_id`: what every request leaves behind
- `draining`: what happens between SIGTERM and the end
- `rehearsal`: slowness and leaks on purpose, to watch the platform act

`app` puts them together.
"""
