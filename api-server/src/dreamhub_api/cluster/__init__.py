"""The only place that speaks to Kubernetes."""
