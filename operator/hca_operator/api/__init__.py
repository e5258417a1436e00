"""The custom resource: its models, defaults, rules and CRD."""
