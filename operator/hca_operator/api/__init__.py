"""The custom resource: its models, the CRD made of them, rules between fields, the platform team's policy."""
