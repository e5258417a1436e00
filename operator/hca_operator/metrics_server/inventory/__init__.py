"""Which objects have metrics, which pods they have, and where these expose them: from watches, kept small."""
