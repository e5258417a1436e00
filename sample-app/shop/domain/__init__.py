"""The shop itself: products, views, carts, orders and the offers of suppliers, with their tables and SQL.

Rules and statements belong here, over the storage of `data`. URLs and the JSON of answers do not: see `routes`.
"""
