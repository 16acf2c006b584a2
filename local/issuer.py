"""The local token issuer: what a customer's OIDC provider would be.

It serves discovery and keys on loopback and mints RS256 tokens. Tests mint deliberately bad ones with the same `Issuer`, since
what a forged token looks like is best said next to what a good one does.

    python local/issuer.py --port 24568 --key .local/issuer.pem serve
    python local/issuer.py --port 24568 --key .local/issuer.pem mint acme --scope "billing:read"
"""

import argparse
import base64
import http.server
import json
import os
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "perennial"
# Of tokens for routes of the SaaS, where that is another.
ROUTE_AUDIENCE = "saas"
KEY_ID = "local-1"
CUSTOMER = "billing:read billing:write"
ADMIN = "billing:read billing:write billing:admin"
# A service of the SaaS, which reports what any customer uses, and may do nothing else.
SERVICE = "billing:usage"
DAY = 24 * 60 * 60

# A claim with this value is left out: `mint("acme", exp=ABSENT)`.
ABSENT: Any = object()


class Issuer:
    """An issuer's address and key. The key is made once and kept, so that tokens outlive a restart."""

    def __init__(self, url: str, key_file: Path) -> None:
        self.url = url
        self.key = load_or_create(key_file)

    def mint(self, subject: str, scope: str = CUSTOMER, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is good unless told otherwise: any claim and any header field may be replaced or left ABSENT."""
        now = int(time.time())
        payload = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "email": f"billing@{subject}.example",
            "scope": scope,
            "iat": now,
            "exp": now + DAY,
        }
        head = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        return self.sign(present(head | (header or {})), present(payload | claims))

    def sign(self, header: dict[str, Any], payload: dict[str, Any] | str) -> str:
        """Sign exactly this. A payload given as text may hold what a dict cannot, such as a claim twice."""
        text = payload if isinstance(payload, str) else json.dumps(payload)
        signed = f"{encode(json.dumps(header).encode())}.{encode(text.encode())}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"

    def public_pem(self) -> bytes:
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form)

    def keys(self) -> dict[str, Any]:
        numbers = self.key.public_key().public_numbers()
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": KEY_ID}
        return {"keys": [key | {"n": encode_number(numbers.n), "e": encode_number(numbers.e)}]}

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/.well-known/jwks.json",
            "id_token_signing_alg_values_supported": ["RS256"],
        }


def load_or_create(key_file: Path) -> rsa.RSAPrivateKey:
    if key_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey), f"{key_file} holds no RSA key"
        return key
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    key_file.parent.mkdir(parents=True, exist_ok=True)
    # Whole or not at all: half a key after a crash would stop every later start.
    fresh = key_file.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(pem)
    os.replace(fresh, key_file)
    return key


def present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not ABSENT}


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_number(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def serve(issuer: Issuer, port: int) -> None:
    documents = {
        "/.well-known/openid-configuration": issuer.discovery(),
        "/.well-known/jwks.json": issuer.keys(),
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = documents.get(self.path)
            body = json.dumps(document or {"message": "Not Found"}).encode()
            self.send_response(200 if document else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass  # nothing here is worth a log file that grows

    http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="The local token issuer")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", type=Path, required=True)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve")
    mint = commands.add_parser("mint")
    mint.add_argument("subject")
    mint.add_argument("--scope", default=CUSTOMER)
    mint.add_argument("--claim", action="append", default=[], metavar="NAME=JSON", help="replace a claim")
    arguments = parser.parse_args()

    issuer = Issuer(f"http://127.0.0.1:{arguments.port}", arguments.key)
    if arguments.command == "serve":
        serve(issuer, arguments.port)
    else:
        claims = {name: json.loads(value) for name, value in (pair.split("=", 1) for pair in arguments.claim)}
        print(issuer.mint(arguments.subject, arguments.scope, **claims))


if __name__ == "__main__":
    main()
