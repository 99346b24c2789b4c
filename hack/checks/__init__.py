"""The checks of `make check` that need more than one command of a tool."""
