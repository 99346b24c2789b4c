"""What the server does, without HTTP: each service takes a tenant's name and plain values."""
