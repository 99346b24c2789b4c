"""Where documents come from: readers of upstream systems behind one protocol, found by entry points."""
