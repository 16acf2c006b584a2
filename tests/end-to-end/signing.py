"""Webhooks as the gateways sign them, and not quite as they do. Written from their documentation, like the simulator."""

import hashlib
import hmac
import json
import secrets
import time
from typing import Any

from client import Client, Response, request

Headers = dict[str, str]


def stripe(secret: str, body: bytes, *, age: int = 0, scheme: str = "v1") -> Headers:
    sent = int(time.time()) - age
    return {"stripe-signature": f"t={sent},{scheme}={stripe_digest(secret, sent, body)}"}


def stripe_digest(secret: str, sent: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{sent}.".encode() + body, hashlib.sha256).hexdigest()


def paystack(secret: str, body: bytes) -> Headers:
    return {"x-paystack-signature": hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()}


def signed(client: Client, gateway: str, body: bytes) -> Headers:
    secret = client.stack["webhook_secrets"][gateway]
    return stripe(secret, body) if gateway == "stripe" else paystack(secret, body)


def post(client: Client, gateway: str, body: bytes, headers: Headers, kind: str = "application/json") -> Response:
    return request("POST", f"{client.api}/webhooks/{gateway}", raw=body, headers={"content-type": kind, **headers})


def deliver(client: Client, gateway: str, event: dict[str, Any]) -> Response:
    """A genuine delivery."""
    body = encode(event)
    return post(client, gateway, body, signed(client, gateway, body))


def encode(event: dict[str, Any]) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def stripe_event(kind: str = "payment_intent.succeeded", reference: str | None = None, **more: Any) -> dict[str, Any]:
    thing: dict[str, Any] = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "metadata": {}}
    if reference is not None:
        thing["metadata"]["reference"] = reference
    return {
        "id": f"evt_{secrets.token_hex(8)}",
        "object": "event",
        "type": kind,
        "livemode": False,
        "data": {"object": thing | more},
    }


def paystack_event(kind: str = "charge.success", reference: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"id": secrets.randbelow(10**12), "status": "success", "reference": reference or "unknown"}
    return {"event": kind, "data": told | more}


def paystack_identity(event: dict[str, Any]) -> str:
    """By what Paystack's deliveries, which have no id, are told apart."""
    data = event["data"]
    return hashlib.sha256(f"{event['event']}|{data['id']}|{data['status']}".encode()).hexdigest()


def event_of(gateway: str, kind: str | None = None, reference: str | None = None, **more: Any) -> dict[str, Any]:
    make = stripe_event if gateway == "stripe" else paystack_event
    return make(*([kind] if kind else []), reference=reference, **more)


def identity(gateway: str, event: dict[str, Any]) -> str:
    return event["id"] if gateway == "stripe" else paystack_identity(event)
