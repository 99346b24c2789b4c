"""What a tenant that is up needs besides: one module a duty, run in turn after each reconcile that found it whole."""
