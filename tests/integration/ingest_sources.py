"""Orders of sources: what is taken, and what is refused with which word."""

from typing import Any

SECRET = {"secretRef": {"name": "login"}}
SOURCES: dict[str, dict[str, Any]] = {
    "import-folder": {"s3": {"prefix": "handbooks/"}},
    "bucket": {"s3": {"endpoint": "https://s3.example.com", "bucket": "theirs", "region": "eu-central-1", **SECRET}},
    "web": {"web": {"urls": ["https://example.com/a?b=c"], "maxDepth": 0, "hosts": ["docs.example.com"], **SECRET}},
    "imap": {"mail": {"imap": {"host": "imap.example.com", "port": 143, "tls": "StartTLS", **SECRET}}},
    "mbox": {"mail": {"mbox": {"prefix": "mail/2026"}}},
    "calendar": {"calendar": {"url": "https://example.com/dav/", "protocol": "CalDAV", **SECRET}},
    "plugin": {"plugin": {"name": "wiki", "config": {"space": "HR"}, **SECRET}},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two kinds": ({"web": {"urls": ["https://example.com/"]}, "s3": {}}, "exactly one"),
    "none": ({}, "exactly one"),
    "half a bucket": ({"s3": {"bucket": "theirs"}}, "belong together"),
    "a region of nothing": ({"s3": {"region": "eu-central-1"}}, "region"),
    "a path as prefix": ({"s3": {"prefix": "/etc"}}, "prefix"),
    "no page": ({"web": {"urls": []}}, "urls"),
    "a file": ({"web": {"urls": ["file:///etc/passwd"]}}, "urls"),
    "a password in a URL": ({"web": {"urls": ["https://me:pass@example.com/"]}}, "urls"),
    "too deep": ({"web": {"urls": ["https://example.com/"], "maxDepth": 11}}, "maxDepth"),
    "too much": ({"web": {"urls": ["https://example.com/"], "maxPages": 5001}}, "maxPages"),
    "no mailbox": ({"mail": {}}, "exactly one"),
    "a mailbox without a login": ({"mail": {"imap": {"host": "imap.example.com"}}}, "secretRef"),
    "a host with a path": ({"mail": {"imap": {"host": "imap.example.com/x", **SECRET}}}, "host"),
    "an unknown protocol": ({"calendar": {"url": "https://example.com/", "protocol": "FTP"}}, "protocol"),
    "no plug-in": ({"plugin": {"name": "web"}}, "plugin"),
    "a config of numbers": ({"plugin": {"name": "wiki", "config": {"a": 1}}}, "config"),
    "our own Secret": (
        {"calendar": {"url": "https://a.example/", "secretRef": {"name": "dreamhub-credentials"}}},
        "name one that an administrator has made",
    ),
    "a job's Secret": (
        {"calendar": {"url": "https://a.example/", "secretRef": {"name": "ij-0123456789abcdef-input"}}},
        "secretRef",
    ),
}
