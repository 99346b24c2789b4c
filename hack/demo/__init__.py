"""The demo: what `make demo` runs, and the documents it shows."""
