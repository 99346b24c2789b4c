"""URLs as a crawl compares them. Pure: the one spelling of a page, and what is not worth asking for."""

import re
from typing import Final

from yarl import URL

MAX_URL = 2_000
"""Characters. Longer ones are traps or sessions."""

_SCHEMES: Final = frozenset({"http", "https"})
_TRACKING = frozenset({"gclid", "fbclid", "msclkid", "dclid", "yclid", "mc_cid", "mc_eid", "igshid", "phpsessid"})
"""Parameters that change the address and never the page; and all that begin with utm_."""
_NO_DOCUMENT = re.compile(
    r"\.(7z|avi|bmp|bz2|css|dmg|eot|exe|gif|gz|ico|iso|jpe?g|m?js|mov|mp[34]|mpeg|msi|og[gv]|otf|png|rar|rss|svg|t?[gx]z|"
    r"tar|tiff?|ttf|wasm|wav|web[mp]|woff2?|zip)$",
    re.IGNORECASE,
)


def parse_start(text: str) -> URL | None:
    """A start page as the crawl compares it, or None when it is none. One with a password in it is none."""
    return canonical(text, None)


def canonical(link: str, base: URL | None) -> URL | None:
    """The one spelling of a link found at `base`; None for other schemes, passwords and nonsense."""
    try:
        url = URL(link.strip())
        url = base.join(url) if base is not None else url
        if url.scheme not in _SCHEMES or not url.raw_host or url.raw_user or url.raw_password:
            return None
        url = url.with_fragment(None)
        if url.explicit_port is not None and url.is_default_port():
            url = url.with_port(None)
        tracking = [name for name in url.query if name.lower() in _TRACKING or name.lower().startswith("utm_")]
        url = url.without_query_params(*tracking) if tracking else url
    except ValueError:
        return None
    url = url.with_path("/", keep_query=True) if url.raw_path == "/" else url
    return url if len(str(url)) <= MAX_URL else None


def site_of(url: URL) -> str:
    """Host and port: what a crawl stays on. A site that moves to HTTPS stays itself."""
    return f"{url.raw_host}:{'' if url.is_default_port() else url.port}"


def may_be_document(url: URL) -> bool:
    """Whether asking is worthwhile: pictures, scripts, archives and films never are."""
    return not _NO_DOCUMENT.search(url.path)


def same_page(one: URL, other: URL) -> bool:
    """Whether two addresses differ at most in their query and a slash at the end.

    How far a page's word is taken that it really is another one: many sites name their front page on every page.
    """
    return one.origin() == other.origin() and one.raw_path.rstrip("/") == other.raw_path.rstrip("/")
