"""The commands, one module each: read the options, call the client, print."""
