"""Whom the API server is known by, and what it is shown: certificates in files that are exchanged while a process runs.

The library reads them once. A cluster's authority is renewed without a restart of what runs in it, and from then on
each new connection failed: a leader that ends is begun again with the new file, one that waits for its turn never is.
"""

from __future__ import annotations

import logging
import os
import ssl

from kubernetes_asyncio.client import Configuration

log = logging.getLogger(__name__)


class Trust:
    """TLS as the configuration's files say now."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._seen = self._files()
        self._context: ssl.SSLContext | bool = True

    def now(self) -> ssl.SSLContext | bool:
        """For aiohttp; True: what the session began with. A file that can't be read is one that is being exchanged:
        it is read again the next time."""
        files = self._files()
        if files != self._seen and None not in files:
            try:
                self._context = self._read()
            except (OSError, ssl.SSLError) as error:
                log.debug("certificates not read: %s", error)
            else:
                self._seen = files
                log.info("certificates were exchanged")
        return self._context

    def _files(self) -> tuple[tuple[int, int, int] | None, ...]:
        given = self._configuration
        named = (given.ssl_ca_cert, given.cert_file, given.key_file)
        return tuple(_state(path) for path in named if path)

    def _read(self) -> ssl.SSLContext:
        """As the library does."""
        given = self._configuration
        context = ssl.create_default_context(cafile=given.ssl_ca_cert)
        if given.cert_file:
            context.load_cert_chain(given.cert_file, keyfile=given.key_file)
        if not given.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if given.disable_strict_ssl_verification:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context


def _state(path: str) -> tuple[int, int, int] | None:
    """Of what a symbolic link leads to, as in a volume of Kubernetes; None: there is nothing now."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
