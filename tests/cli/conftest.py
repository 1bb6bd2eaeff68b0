"""Keys and certificates, made once, and where keys are published."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)


class KeyPair(NamedTuple):
    """A private key, and files with it and its public half."""

    private: Any
    public_file: Path
    private_file: Path
    encrypted_file: Path


class TLS(NamedTuple):
    """A server's files, and what a client needs to trust them."""

    cert: Path
    key: Path
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, KeyPair]:
    """By the algorithm that they are for."""
    folder = tmp_path_factory.mktemp("keys")
    pairs: dict[str, Any] = {
        "RS256": rsa.generate_private_key(65537, 2048),
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }
    made = {}
    for name, private in pairs.items():
        pair = KeyPair(
            private, folder / f"{name}.pub", folder / f"{name}.key", folder / f"{name}.enc"
        )
        pair.public_file.write_bytes(
            private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        for path, encryption in (
            (pair.private_file, NoEncryption()),
            (pair.encrypted_file, BestAvailableEncryption(b"a password")),
        ):
            path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        made[name] = pair
    return made


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TLS:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    cert, key = folder / "cert.pem", folder / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(str(cert), append=number > 0)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return TLS(cert, key, client)


@contextmanager
def published(document: Any) -> Iterator[str]:
    """An HTTP server on loopback; /keys has the document as JSON, /moved leads there."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(document).encode()
            self.send_response({"/keys": 200, "/moved": 302}.get(self.path, 404))
            self.send_header("Location", "/keys")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http_server.server_port}"
        finally:
            http_server.shutdown()
            thread.join()


def jwk(pair: KeyPair, name: str, **more: str) -> dict[str, Any]:
    algorithm = jwt.get_algorithm_by_name(name)
    return {**json.loads(algorithm.to_jwk(pair.private.public_key())), "use": "sig", **more}
