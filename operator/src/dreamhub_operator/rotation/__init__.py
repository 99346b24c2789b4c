"""When logins and keys are replaced, and in which steps."""
