"""The two services that the page asks: the only addresses this server ever connects to."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal
from urllib.parse import urlsplit

from shared.contract.errors import UserError

Variant = Literal["fastapi", "bento"]
VARIANTS: Final[tuple[Variant, Variant]] = ("fastapi", "bento")
LABELS: Final = {"fastapi": "FastAPI", "bento": "BentoML"}


@dataclass(frozen=True)
class Target:
    """Where one variant listens.

    Attributes:
        url: its base, without a slash at the end.
        prefix: of its paths, without a slash at the end.
        context: for TLS; None for plain HTTP.
        api_key: sent as a bearer token; never shown to the page.
    """

    variant: Variant
    url: str
    host: str
    port: int
    prefix: str = ""
    context: ssl.SSLContext | None = None
    api_key: str | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        return LABELS[self.variant]

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def parse_target(variant: Variant, url: str, *, ca: str | None = None, api_key: str | None = None) -> Target:
    """The target of a base URL.

    Raises:
        UserError: it is no http or https URL, or the CA file cannot be read.
    """
    wrong = UserError(f"--{variant} {url}: give a base URL such as http://127.0.0.1:8000, without a query or a user")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or "@" in url:
        raise wrong
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise wrong
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        raise wrong from None
    context = None
    if parts.scheme == "https":
        try:
            context = ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise UserError(f"--ca {ca} cannot be used: {error.strerror or error}") from None
    prefix = parts.path.rstrip("/")
    port = port or (443 if context else 80)
    return Target(variant, url.rstrip("/"), parts.hostname, port, prefix, context, api_key)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def authority(host: str, port: int) -> str:
    """`host:port` as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
