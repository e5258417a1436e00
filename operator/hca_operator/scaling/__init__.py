"""How many pods at least, and why: schedules, missing metrics, bursts, and what the cluster can do. Pure."""
