"""The API server: client, watches, caches, leader election."""
