"""What is reported of an object: the conditions of its status, the diagnosis of its pods, and Events. Pure."""
