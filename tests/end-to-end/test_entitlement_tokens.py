"""Signed entitlements: what a customer may use, believed without a call by the crate, by the npm package and by a library that
knows neither; and refused by all of them when it is another's, over, edited or forged."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aws
import pytest
from answers import refusal
from client import Client
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from customer import Customer, granted
from issuer import SERVICE, Issuer
from processes import signal_quietly
from roles import Roles, sees_processes
from stack import BINARIES, ROOT
from test_administration import assign

PRO = {"plan": "minutes-pro", "interval": "month", "comp": {"percent": 100, "periods": None}}
NAMES = ["agents", "analytics", "api_access", "minutes", "never-heard-of"]
LIFETIME_S = 300
ISSUER = "perennial-local"

Verdict = dict[str, Any]
# Each of (token, customer, now) as whoever verifies finds it.
Verify = Callable[..., list[Verdict]]


def node() -> list[str | Path]:
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no node on this machine: the npm package is not tested")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(map(int, version.removeprefix("v").split(".")))[:2] < (18, 4):
        pytest.skip(f"node is {version}, and the npm package wants 18.4: it is not tested")
    return [program, ROOT / "tests" / "end-to-end" / "entitlements.mjs"]


CRATE = [BINARIES / "verify-entitlements"]


@pytest.fixture(params=["crate", "npm"])
def verify(request: pytest.FixtureRequest) -> Verify:
    return verifying(node() if request.param == "npm" else CRATE)


def verifying(command: list[str | Path]) -> Verify:
    def verify(keys: Any, asked: list[tuple[str, str, int]], issuer: str = ISSUER) -> list[Verdict]:
        lines = [{"issuer": issuer, "keys": keys}]
        lines += [{"token": token, "customer": who, "now": now, "names": NAMES} for token, who, now in asked]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        told = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
        verdicts = [json.loads(line) for line in told.splitlines()]
        assert len(verdicts) == len(asked)
        return verdicts

    return verify


@pytest.fixture
def pro(customer: Customer) -> Customer:
    granted(assign(customer, **PRO), 201)
    return customer


def keys_of(client: Client) -> Any:
    return granted(client.call("GET", "/.well-known/jwks.json"))


def token_of(customer: Customer) -> str:
    return granted(customer.call("GET", "/entitlements/token"))["token"]


def encode(data: bytes | dict[str, Any]) -> str:
    data = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def parts(token: str) -> tuple[Any, Any]:
    header, claims, _ = token.split(".")
    return json.loads(decode(header)), json.loads(decode(claims))


def lifetime(customer: Customer) -> int:
    _, claims = parts(token_of(customer))
    return claims["exp"] - claims["iat"]


# -- What is issued


def test_the_keys_are_everyones_and_may_be_kept_for_a_while(client: Client) -> None:
    answer = client.call("GET", "/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=60"
    for key in granted(answer)["keys"]:
        thumbprint = json.dumps({"crv": key["crv"], "kty": key["kty"], "x": key["x"]}, separators=(",", ":")).encode()
        kid = encode(hashlib.sha256(thumbprint).digest())
        assert key == {"kty": "OKP", "crv": "Ed25519", "x": key["x"], "kid": kid, "alg": "EdDSA", "use": "sig"}
        assert len(decode(key["x"])) == 32


def test_a_token_says_what_the_api_says_to_whoever_verifies_it(client: Client, pro: Customer, verify: Verify) -> None:
    pro.use("agents", 5)
    before = int(time.time())
    answer = pro.call("GET", "/entitlements/token")
    token, expires_at = granted(answer)["token"], granted(answer)["expires_at"]
    assert answer.headers["cache-control"] == "no-store"
    header, claims = parts(token)
    keys = keys_of(client)
    assert header == {"alg": "EdDSA", "typ": "entitlements+jwt", "kid": header["kid"]}
    registered = {name: claims[name] for name in ("iss", "sub", "aud")}
    assert registered == {"iss": ISSUER, "sub": pro.name, "aud": "entitlements"}
    assert client.outputs["EntitlementIssuer"] == ISSUER
    assert before <= claims["iat"] <= time.time() and claims["exp"] == claims["iat"] + LIFETIME_S
    assert datetime.fromisoformat(expires_at).timestamp() == claims["exp"]

    [told] = verify(keys, [(token, pro.name, claims["iat"])])
    api = granted(pro.call("GET", "/entitlements"))
    assert (told["plan"], told["status"]) == (api["plan"], api["status"]) == ("minutes-pro", "active")
    assert (told["issued_at"], told["expires_at"]) == (claims["iat"], claims["exp"])
    known = {name: it["reason"] for name, it in api["entitlements"].items()}
    assert told["refusals"] == known | {"never-heard-of": "not_in_plan"}
    assert told["refusals"]["agents"] == "limit_reached" and told["refusals"]["analytics"] is None
    metered = {name: it for name, it in api["entitlements"].items() if "meter" in it}
    limits = {name: {each: it[each] for each in ("limit", "used", "remaining")} for name, it in metered.items()}
    assert {name: limit for name, limit in told["limits"].items() if limit} == limits

    # A third opinion, by who has read RFC 8037 and nothing of ours.
    signed, _, signature = token.rpartition(".")
    [key] = [key for key in keys["keys"] if key["kid"] == header["kid"]]
    public = Ed25519PublicKey.from_public_bytes(decode(key["x"]))
    public.verify(decode(signature), signed.encode())
    with pytest.raises(InvalidSignature):
        public.verify(decode(signature), signed.encode() + b"A")


def test_who_never_had_a_subscription_has_a_token_that_allows_nothing(
    client: Client, customer: Customer, verify: Verify
) -> None:
    token = token_of(customer)
    [told] = verify(keys_of(client), [(token, customer.name, int(time.time()))])
    assert (told["plan"], told["status"]) == (None, None)
    assert set(told["refusals"].values()) == {"no_subscription"}


def test_a_token_is_had_by_who_may_read_and_opens_nothing(client: Client, issuer: Issuer, pro: Customer) -> None:
    assert client.call("GET", "/entitlements/token").status == 401
    refusal(client.call("GET", "/entitlements/token", token=issuer.mint(pro.name, SERVICE)), 403)
    assert client.call("GET", "/entitlements/token", token=token_of(pro)).status == 401
    assert client.call("GET", "/subscription", token=token_of(pro)).status == 401


# -- Until when


def test_what_somebody_ends_is_over_within_the_lifetime_of_a_token(
    client: Client, pro: Customer, verify: Verify
) -> None:
    before = token_of(pro)
    granted(pro.change("cancel", effective="now"))
    after, expires = token_of(pro), parts(before)[1]["exp"]
    now = int(time.time())
    old, over, new = verify(
        keys_of(client), [(before, pro.name, expires - 1), (before, pro.name, expires), (after, pro.name, now)]
    )
    assert old["refusals"]["analytics"] is None and expires <= now + LIFETIME_S
    assert over == {"refused": "expired"}
    assert new["status"] == "canceled" and set(new["refusals"].values()) <= {"no_subscription", "not_in_plan"}
    assert new["refusals"]["analytics"] == "no_subscription"


def walk_until(client: Client, customer: Customer, end: str, seconds: int) -> None:
    """Until so many seconds before the end."""
    to = datetime.fromisoformat(end) - timedelta(seconds=seconds)
    client.walked(customer=customer.name, to=to.isoformat().replace("+00:00", "Z"))


def test_a_token_does_not_outlive_the_period_with_which_it_ends(client: Client, pro: Customer) -> None:
    end = pro.subscription()["current_period"]["end"]
    granted(pro.change("cancel", effective="period_end"))
    assert lifetime(pro) == LIFETIME_S
    walk_until(client, pro, end, 60)
    assert 58 <= lifetime(pro) <= 60
    walk_until(client, pro, end, 0)
    _, claims = parts(token_of(pro))
    assert claims["features"]["analytics"] == {"on": False, "reason": "no_subscription"}
    # Nothing is left that the clock could take away.
    assert claims["exp"] - claims["iat"] == LIFETIME_S
    assert abs(claims["iat"] - time.time()) < 60, "by the world's time, whatever the customer's is"


def test_a_token_does_not_outlive_grace(client: Client, customer: Customer) -> None:
    granted(assign(customer, **PRO | {"comp": {"percent": 100, "periods": 1}}), 201)
    client.walked(customer=customer.name, by="P1M")
    grace_ends = customer.subscription()["dunning"]["grace_ends_at"]
    walk_until(client, customer, grace_ends, 30)
    assert parts(token_of(customer))[1]["features"]["analytics"] == {"on": True}
    assert 28 <= lifetime(customer) <= 30
    client.walked(customer=customer.name, by="PT31S")
    assert parts(token_of(customer))[1]["features"]["analytics"] == {"on": False, "reason": "suspended"}


# -- What is refused


def test_s17_what_is_anothers_edited_over_or_not_yet_is_refused(
    client: Client, pro: Customer, other: Customer, verify: Verify
) -> None:
    token, theirs = token_of(pro), token_of(other)
    header, claims = parts(token)
    issued, expires = claims["iat"], claims["exp"]
    text = token.split(".")
    flipped = "A" if text[2][10] != "A" else "B"
    spelled = text[2][:-1] + chr(ord(text[2][-1]) + 1)  # the same bytes to a careless reader
    cases = [
        ((theirs, pro.name, issued), "other_customer"),
        ((token, other.name, issued), "other_customer"),
        ((token, pro.name, expires), "expired"),
        ((token, pro.name, expires + 3600), "expired"),
        ((token, pro.name, issued - 61), "not_yet_valid"),
        ((f"{text[0]}.{encode(claims | {'sub': other.name})}.{text[2]}", other.name, issued), "forged"),
        ((f"{text[0]}.{encode(claims | {'exp': expires + 3600})}.{text[2]}", pro.name, issued), "forged"),
        ((f"{text[0]}.{text[1]}.{text[2][:10]}{flipped}{text[2][11:]}", pro.name, issued), "forged"),
        ((f"{text[0]}.{text[1]}.{theirs.split('.')[2]}", pro.name, issued), "forged"),
        ((f"{text[0]}.{text[1]}.{spelled}", pro.name, issued), "malformed"),
        ((f"{text[0]}.{text[1]}.", pro.name, issued), "forged"),
        ((f"{encode(header | {'kid': 'another'})}.{text[1]}.{text[2]}", pro.name, issued), "unknown_key"),
        ((pro.token, pro.name, issued), "other_kind"),
        (("", pro.name, issued), "malformed"),
        (("a.b.c", pro.name, issued), "malformed"),
        ((token + "=", pro.name, issued), "malformed"),
        ((token + "." + text[2], pro.name, issued), "malformed"),
        (("a" * 70_000 + "." + token, pro.name, issued), "too_long"),
    ]
    # The good one first and last: what is remembered of it lets nothing else pass.
    verdicts = verify(keys_of(client), [(token, pro.name, issued), *(asked for asked, _ in cases), (token, pro.name, issued)])
    assert [verdicts[0].get("refused"), verdicts[-1].get("refused")] == [None, None]
    assert [verdict.get("refused") for verdict in verdicts[1:-1]] == [reason for _, reason in cases]


def test_s17_nobody_is_signed_what_another_may_use(pro: Customer, other: Customer) -> None:
    for query in ("", f"?customer={pro.name}", f"?sub={pro.name}"):
        answer = other.call("GET", f"/entitlements/token{query}", headers={"x-customer": pro.name})
        _, claims = parts(granted(answer)["token"])
        assert (claims["sub"], claims["plan"], claims["features"]) == (other.name, None, {})


def test_what_a_forger_with_any_key_but_ours_writes_is_refused(verify: Verify) -> None:
    ours, theirs = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = encode(ours.public_key().public_bytes_raw())
    keys = {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public, "kid": "ours"}]}
    header = {"alg": "EdDSA", "typ": "entitlements+jwt", "kid": "ours"}
    claims: dict[str, Any] = {
        "iss": "us", "sub": "acme", "aud": "entitlements", "iat": 1_000, "exp": 1_300, "plan": "p", "status": "active",
        "features": {"analytics": {"on": True}, "minutes": {"on": False, "reason": "limit_reached"}},
        "limits": {"minutes": {"limit": 5, "used": 5, "remaining": 0}, "agents": {"limit": None, "used": 3, "remaining": None}},
    }  # fmt: skip

    def write(head: dict[str, Any] = {}, body: dict[str, Any] = {}, key: Any = ours, drop: str = "") -> str:
        said = {name: value for name, value in (claims | body).items() if name != drop}
        signed = f"{encode(header | head)}.{encode(said)}"
        return f"{signed}.{encode(key.sign(signed.encode()))}"

    hs256 = f"{encode(header | {'alg': 'HS256'})}.{encode(claims)}"
    mac = encode(hmac.digest(decode(public), hs256.encode(), "sha256"))
    cases = [
        (write(), None),
        (write(body={"more": "of a later release"}), None),
        (write(key=theirs), "forged"),
        (write({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": encode(theirs.public_key().public_bytes_raw())}}, key=theirs), "forged"),
        (f"{hs256}.{mac}", "other_kind"),
        (f"{encode(header | {'alg': 'none'})}.{encode(claims)}.", "other_kind"),
        (write({"alg": "RS256"}), "other_kind"),
        (write({"typ": "JWT"}), "other_kind"),
        (write({"crit": ["exp"]}), "other_kind"),
        (write({"kid": "theirs"}), "unknown_key"),
        (write(body={"iss": "them"}), "other_issuer"),
        (write(body={"aud": "perennial"}), "other_audience"),
        (write(body={"sub": "globex"}), "other_customer"),
        (write(body={"sub": ""}), "other_customer"),
        (write(body={"exp": 1_100}), "expired"),
        (write(body={"iat": 1_161}), "not_yet_valid"),
        (write(body={"exp": "1300"}), "malformed"),
        (write(body={"features": {"analytics": {"on": False}}}), "malformed"),
        (write(body={"features": {"analytics": {"on": "true"}}}), "malformed"),
        (write(body={"limits": {"minutes": {"used": 5, "remaining": 0}}}), "malformed"),
        *((write(drop=name), "malformed") for name in claims),
    ]  # fmt: skip
    verdicts = verify(keys, [(token, "acme", 1_100) for token, _ in cases], "us")
    assert [verdict.get("refused") for verdict in verdicts] == [reason for _, reason in cases]
    assert verdicts[0]["refusals"] == {name: "not_in_plan" for name in NAMES} | {"analytics": None, "minutes": "limit_reached"}
    assert verdicts[0]["limits"]["agents"] == {"limit": None, "used": 3, "remaining": None}


# -- Rotation


def rotate(client: Client) -> list[Any]:
    """The keys afterwards. The functions that have read the secret are ended, as when five minutes have passed."""
    secrets = aws.client("secretsmanager", client.endpoint)
    key = json.dumps({"key": os.urandom(32).hex()})
    secrets.put_secret_value(SecretId=client.outputs["EntitlementKeyArn"], SecretString=key)
    functions = Roles(client).functions
    for function in ("SignEntitlements", "ListSigningKeys"):
        for process in client.processes_of(functions[function]["FunctionName"]):
            signal_quietly(os.kill, process, signal.SIGKILL)
    return keys_of(client)["keys"]


@sees_processes
def test_a_rotated_key_is_published_before_it_signs_and_forgotten_after_the_next(client: Client, pro: Customer) -> None:
    [first], before = keys_of(client)["keys"], token_of(pro)
    [second, kept] = rotate(client)
    assert kept == first != second
    after = token_of(pro)
    assert parts(after)[0]["kid"] == first["kid"], "the new one signs when everybody knows it"
    now, verify = int(time.time()), verifying(CRATE)
    verdicts = verify({"keys": [second, kept]}, [(token, pro.name, now) for token in (before, after)])
    assert [verdict.get("refused") for verdict in verdicts] == [None, None]

    [third, kept] = rotate(client)
    assert kept == second and third not in (first, second)
    assert parts(token_of(pro))[0]["kid"] == second["kid"]
    assert verify({"keys": [third, kept]}, [(before, pro.name, now)]) == [{"refused": "unknown_key"}]
