"""What is told of an object: conditions, diagnosis and events. Pure."""
