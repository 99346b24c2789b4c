"""Live progress over WebSockets: one connection for all subscriptions, Redis between the instances."""
