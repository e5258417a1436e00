"""Adapters to Uvicorn and Gunicorn: their command lines, hooks and shutdown.

All code that knows one of these servers belongs here; what is the same with all of them does not: see `supervision`.
`gunicorn` and `gunicorn_worker`, beside this folder, are the names that command lines of users contain; they import
from here.
"""
