"""API keys: a file of their hashes, and the check of what a request brings."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from shared.contract.errors import UserError

SCHEME = b"bearer "
LINE = re.compile(r"sha256:([0-9a-f]{64})(\s+\S.*)?")


class ApiKeys:
    """The keys that are valid; several, so that one can be replaced while both still work.

    A key is random and long, so a plain SHA-256 of it is as hard to reverse as the key is to guess.
    """

    def __init__(self, digests: list[bytes]) -> None:
        self._digests = digests

    @classmethod
    def load(cls, path: Path) -> ApiKeys:
        """Reads a file with a line `sha256:<hex> <comment>` for each key; empty lines and lines with # are skipped.

        Raises:
            UserError: the file cannot be read, has no key, or a line that is none.
        """
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"TWINSCORE_API_KEYS_FILE={path} cannot be read: {error}") from None
        digests = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = LINE.fullmatch(line.strip())
            if match is None:
                # The line is not repeated: it may hold a key in the clear.
                raise UserError(
                    f"{path}, line {number}, is not 'sha256:<64 hex digits> <comment>': see `twinscore key`"
                )
            digests.append(bytes.fromhex(match[1]))
        if not digests:
            raise UserError(f"{path} has no key: `twinscore key` makes one; unset TWINSCORE_API_KEYS_FILE to need none")
        return cls(digests)

    def accept(self, authorization: bytes | None) -> bool:
        """Whether an Authorization header brings a valid key; takes as long for any key as for any other."""
        if authorization is None or authorization[: len(SCHEME)].lower() != SCHEME:
            return False
        digest = hashlib.sha256(authorization[len(SCHEME) :].strip()).digest()
        found = False
        for known in self._digests:
            found |= hmac.compare_digest(known, digest)
        return found


def new_key() -> tuple[str, str]:
    """A random key, and the line of the file that makes it valid."""
    key = secrets.token_urlsafe(32)
    return key, f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
