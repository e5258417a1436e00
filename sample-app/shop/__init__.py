"""A shop's API that shows the techniques of high concurrency, one module for each.

Read them in this order:

- `settings`: typed configuration that fails early and by name
- `database`, `postgres`, `sqlite`, `schema`: a bounded pool, slow queries, and a database that goes and comes back
- `cache`, `local_store`, `redis_store`: cache-aside, one load per key, bounded, spread expiry, and without Redis too
- `catalogue`, `products`: paging whose cost does not grow with the page, many keys at once
- `views`: counting without a write for each
- `carts`, `cart_stores`, `cart_routes`: state that any worker of any pod can serve
- `orders`, `order_routes`: once, whole or not at all, however often it is asked
- `breakers`, `suppliers`, `offers`: asking others: bounded, in time, and not at all while they are down
- `streaming`: bodies of any size at constant memory
- `cpu`: CPU-bound work beside the event loop, and what the GIL makes of it
- `shedding`: refusing early what cannot be served in time
- `vitals`, `heartbeats`, `watchdog`: a loop that is late, and one that is blocked
- `live_settings`: what may change in a running worker, and whether all of them agree
- `error_budget`: a worker that fails too often is replaced
- `worker_slots`, `metrics`, `tallies`: one answer to a scrape for all worker processes of the pod, and cheap counting
- `edge`, `compression`: what is done around every request, and what that may cost
- `observation`, `access_log`, `request_id`, `problems`, `tracing`: what every request leaves behind
- `draining`: what happens between SIGTERM and the end
- `rehearsal`: slowness and leaks on purpose, to watch the platform act

`dependencies` chooses what the settings ask for, `app` puts it together.
"""
