"""Servers with certificates of their own."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


def certified(folder: Path, name: str) -> ssl.SSLContext:
    """Of a server with a certificate of its own for 127.0.0.1, which is `folder/name.pem`."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    made = (
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
    )
    subprocess.run(["openssl", *made], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
