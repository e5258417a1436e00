"""The objects with metrics, their ready pods, and where these expose metrics: from watches, with little memory."""
