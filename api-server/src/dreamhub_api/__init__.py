"""The front door: REST and WebSocket over a tenant's documents, jobs, search and answers."""
