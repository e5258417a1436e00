"""What the pods of all objects do, as numbers that HorizontalPodAutoscalers ask for: a Deployment of its own."""
