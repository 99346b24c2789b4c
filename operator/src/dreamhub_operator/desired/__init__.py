"""Pure builders of the objects that a tenant or a job should have. No I/O, no clock, no random."""
