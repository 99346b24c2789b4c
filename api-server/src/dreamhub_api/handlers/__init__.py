"""Thin: parse, call a service, respond."""
