"""From the object to the manifests of its children, and the numbers that follow from it. Pure."""
