"""Who may ask at all (RELIABILITY S1–S16), through the API's authorizer and the functions' own look at the claims."""

import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from answers import refusal
from client import Client
from customer import Customer
from issuer import ABSENT, Issuer
from records import Records

PROTECTED = [
    ("POST", "/payments"),
    ("GET", "/payments"),
    ("GET", "/payments/pay_aaaaaaaaaaaa-1-0-1"),
    ("POST", "/payments/pay_aaaaaaaaaaaa-1-0-1/verify"),
    ("GET", "/subscription"),
    ("POST", "/subscription/validate-downgrade"),
    ("POST", "/subscription/preview"),
    ("POST", "/subscription/changes"),
    ("PUT", "/usage/estates"),
    ("POST", "/usage"),
    ("POST", "/usage/minutes/increment"),
    ("POST", "/tokens/consume"),
    ("GET", "/tokens/history"),
    ("GET", "/entitlements"),
    ("GET", "/alerts"),
    ("GET", "/usage/statistics"),
    ("PUT", "/alerts/minutes"),
    ("GET", "/entitlements/analytics"),
    ("POST", "/test-clock/advance"),
    ("POST", "/test-clock/walk"),
]

# What a customer reports of their own.
REPORTS: dict[str, Any] = {
    "/usage": {"meter": "minutes", "value": 1, "id": "call-1"},
    "/usage/minutes/increment": {"value": 1},
    "/tokens/consume": {"tokens": 1},
}

HEAD = {"alg": "RS256", "typ": "JWT", "kid": "local-1"}


def encode(part: Any) -> str:
    text = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def claims(issuer: Issuer) -> dict[str, Any]:
    text = issuer.mint("acme").split(".")[1]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def unsigned(issuer: Issuer, alg: str) -> str:
    return f"{encode(HEAD | {'alg': alg})}.{encode(claims(issuer))}."


def hs256(issuer: Issuer, key: bytes) -> str:
    signed = f"{encode(HEAD | {'alg': 'HS256'})}.{encode(claims(issuer))}"
    return f"{signed}.{encode(hmac.new(key, signed.encode(), hashlib.sha256).digest())}"


def with_header(**header: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.mint("acme", header=header)


def with_claims(**claims: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.mint("acme", **claims)


REFUSED: dict[str, Callable[[Issuer], str]] = {
    "S1 garbage": lambda issuer: "garbage",
    "S1 three parts of garbage": lambda issuer: "a.b.c",
    "S1 tampered": lambda issuer: issuer.mint("acme")[:-8] + "AAAAAAAA",
    "S1 another's claims": lambda issuer: swap_claims(issuer),
    "S2 none": lambda issuer: unsigned(issuer, "none"),
    "S2 nOnE": lambda issuer: unsigned(issuer, "nOnE"),
    "S3 HS256 with the PEM": lambda issuer: hs256(issuer, issuer.public_pem()),
    "S3 HS256 with the JWK": lambda issuer: hs256(issuer, json.dumps(issuer.keys()["keys"][0]).encode()),
    "S4 PS256": with_header(alg="PS256"),
    "S5 kid missing": with_header(kid=ABSENT),
    "S5 kid unknown": with_header(kid="local-2"),
    "S5 kid a path": with_header(kid="../../etc/passwd"),
    "S5 kid SQL": with_header(kid="' OR 1=1 --"),
    "S5 kid an address": with_header(kid="http://127.0.0.1:1/key"),
    "S6 jku": with_header(jku="http://127.0.0.1:1/keys"),
    "S6 x5u": with_header(x5u="http://127.0.0.1:1/chain"),
    "S6 jwk": lambda issuer: issuer.mint("acme", header={"jwk": issuer.keys()["keys"][0]}),
    "S6 crit": with_header(crit=["exp"]),
    "S7 expired": with_claims(exp=1),
    "S8 exp missing": with_claims(exp=ABSENT),
    "S8 exp never": with_claims(exp="never"),
    "S8 exp as text": lambda issuer: issuer.mint("acme", exp=str(int(time.time()) + 600)),
    "S8 exp null": with_claims(exp=None),
    "S9 not yet": lambda issuer: issuer.mint("acme", nbf=int(time.time()) + 600),
    "S10 aud missing": with_claims(aud=ABSENT),
    "S10 aud of another": with_claims(aud="other"),
    "S10 aud an object": with_claims(aud={"perennial": "perennial"}),
    "S11 iss missing": with_claims(iss=ABSENT),
    "S11 iss another": with_claims(iss="https://evil.example"),
    "S11 iss a list with ours": lambda issuer: issuer.mint("acme", iss=[issuer.url]),
    "an ID token by its use": with_claims(token_use="id"),
    "an ID token by its nonce": with_claims(nonce="n-0S6_WzA2Mj"),
    "an ID token by the access token beside it": with_claims(at_hash="77QmUPtjPfzWtF2AnpK9RQ"),
}


def swap_claims(issuer: Issuer) -> str:
    head, _, signature = issuer.mint("acme").split(".")
    return ".".join([head, issuer.mint("globex").split(".")[1], signature])


def signed_twice(name: str) -> Callable[[Issuer], str]:
    """A claim that is there twice: which of the two counts would be anybody's guess."""
    return lambda issuer: issuer.sign(HEAD, json.dumps(claims(issuer)).replace("{", f'{{"{name}":"globex",', 1))


FORBIDDEN: dict[str, Callable[[Issuer], str]] = {
    "S12 no scope": with_claims(scope=ABSENT),
    "S12 an ID token's scope": with_claims(scope="openid email"),
    "S12 scopes as a list": with_claims(scope=["billing:read"]),
    "S12 almost the scope": with_claims(scope="billing:reader"),
    "S14 no customer": with_claims(sub=ABSENT),
    "S14 a list of customers": with_claims(sub=["acme"]),
    "S14 part of a key": with_claims(sub="acme#SUB"),
    "S14 a pattern": with_claims(sub="*"),
    "S14 a NUL": with_claims(sub="acme\u0000"),
    "S14 a path": with_claims(sub="../acme"),
    "S14 too long": with_claims(sub="a" * 301),
    "S14 empty": with_claims(sub=""),
    "S15 sub twice": signed_twice("sub"),
    "S15 scope twice": signed_twice("scope"),
}


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_s1_every_route_of_a_customer_asks_for_a_token(client: Client, method: str, path: str) -> None:
    for at in (path, path + "/"):
        assert client.call(method, at).status == 401, at
        assert client.call(method, at, headers={"authorization": "Basic YWNtZTphY21l"}).status == 401, at


@pytest.mark.parametrize("name", REFUSED)
def test_a_token_that_is_not_ours_is_refused(client: Client, issuer: Issuer, records: Records, name: str) -> None:
    before = records.all()
    token = REFUSED[name](issuer)
    assert client.call("GET", "/subscription", token=token).status == 401
    assert client.call("PUT", "/usage/estates", token=token, body={"value": 1}).status == 401
    assert records.all() == before


@pytest.mark.parametrize("name", FORBIDDEN)
def test_a_token_that_does_not_allow_it_is_refused(
    client: Client, issuer: Issuer, records: Records, name: str
) -> None:
    before = records.all()
    token = FORBIDDEN[name](issuer)
    refusal(client.call("GET", "/subscription", token=token), 403)
    refusal(client.call("PUT", "/usage/estates", token=token, body={"value": 1}), 403)
    for path, body in REPORTS.items():
        refusal(client.call("POST", path, token=token, body=body, headers={"idempotency-key": "k"}), 403)
    assert records.all() == before


def test_a_token_for_several_audiences_is_good_if_one_is_ours(client: Client, issuer: Issuer) -> None:
    token = issuer.mint("nobody", aud=["elsewhere", "perennial"])
    refusal(client.call("GET", "/subscription", token=token), 404)


def test_s13_who_may_read_may_not_write(client: Client, issuer: Issuer, customer: Customer, records: Records) -> None:
    payment = customer.checkout()["id"]
    before = records.all()
    reader = issuer.mint(customer.name, "billing:read")
    assert client.call("GET", f"/payments/{payment}", token=reader).status == 200
    assert client.call("GET", "/payments", token=reader).status == 200
    writes = [
        ("POST", "/payments", {}),
        ("POST", f"/payments/{payment}/verify", {}),
        ("PUT", "/usage/estates", {"value": 1}),
        ("POST", "/usage", {}),
        ("POST", "/usage/minutes/increment", {}),
        ("POST", "/tokens/consume", {}),
    ]
    for method, path, body in writes:
        problem = refusal(client.call(method, path, token=reader, body=body), 403)
        assert "billing:write" in problem["detail"]
    assert records.all() == before


def test_s13_who_may_write_but_not_read_may_not_read(client: Client, issuer: Issuer) -> None:
    writer = issuer.mint("acme", "billing:write")
    for path in ("/payments", "/subscription", "/tokens/history", "/entitlements", "/entitlements/analytics"):
        refusal(client.call("GET", path, token=writer), 403)


def test_only_an_admin_moves_time(client: Client, customer: Customer, records: Records) -> None:
    before = records.all()
    for token in (customer.token, client.stack["tokens"]["acme"]):
        for how in ("advance", "walk"):
            assert client.call("POST", f"/test-clock/{how}", token=token, body={"by": "P1M"}).status == 403
    assert records.all() == before


@pytest.mark.parametrize("how", ["advance", "walk"])
@pytest.mark.parametrize("by", ["-P1D", "PT0S", "P1000000Y", "tomorrow", 5, None, "P20000Y"])
def test_time_goes_forward_only(client: Client, records: Records, how: str, by: object) -> None:
    if how == "walk" and by in ("PT0S", None):
        pytest.skip("who stands still walks nowhere, and who says nothing goes on")
    before = records.all()
    admin = client.stack["tokens"]["admin"]
    answer = client.call("POST", f"/test-clock/{how}", token=admin, body={"by": by})
    assert answer.status in (400, 422)
    assert refusal(answer, answer.status)["field"] == "by"
    assert records.all() == before


def test_s16_two_tokens_are_none(client: Client, customer: Customer) -> None:
    address = urlsplit(client.api)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    connection.putrequest("GET", f"{address.path}/subscription")
    for _ in range(2):
        connection.putheader("authorization", f"Bearer {customer.token}")
    connection.endheaders()
    assert connection.getresponse().status == 401
    connection.close()
