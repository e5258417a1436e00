"""Datasette with a database in memory."""

from datasette.app import Datasette  # type: ignore[import-not-found] # it is in the image alone

app = Datasette([], memory=True).app()
