"""Documents to plain text with an outline. Runs only in the child process: parsers meet hostile bytes here."""
