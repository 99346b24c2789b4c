"""Reconciliation: observe, plan (pure), apply. Level-based and idempotent: it may run at any time and again."""
