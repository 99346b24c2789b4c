"""Rules without I/O: what is decided from what is seen."""
