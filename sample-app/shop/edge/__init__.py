"""Work around every request, whatever its route: one ASGI middleware, compression, and answers to exceptions.

What is called from one place for all requests belongs here. Handlers of single routes do not: see `routes`.
"""
