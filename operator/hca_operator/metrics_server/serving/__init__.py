"""Answers autoscalers and the operator over TLS, and registers with the API server. Waits for no reading."""
