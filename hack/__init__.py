"""Tools for people who develop DreamHub; nothing in here is shipped."""
