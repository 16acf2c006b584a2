"""An amount is held for a use to come: nobody else has it meanwhile, it is used or let go, and is over by itself."""

import base64
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from answers import patiently, refusal, substance
from client import Client, Response
from customer import Customer, granted
from issuer import Issuer
from records import Records
from test_administration import assign

# 3000 minutes a month, and five agents.
PRO = {"plan": "minutes-pro", "interval": "month", "comp": {"percent": 100, "periods": None}}


@pytest.fixture
def pro(customer: Customer) -> Customer:
    granted(assign(customer, **PRO), 201)
    return customer


def at(id: str, meter: str) -> str:
    return f"/entitlements/{meter}/reservations/{id}"


def hold(of: Customer, value: Any, id: str, *, meter: str = "minutes", minutes: Any = 10, **how: Any) -> Response:
    """Asked by the customer, or by whom `token` names; `subject` is for services."""
    more = {name: how.pop(name) for name in ("subject",) if name in how}
    return of.call("PUT", at(id, meter), body={"value": value, "minutes": minutes} | more, **how)


def release(of: Customer, id: str, *, meter: str = "minutes", query: str = "", **how: Any) -> None:
    answer = of.call("DELETE", at(id, meter) + query, **how)
    assert (answer.status, answer.body) == (204, b""), answer.body
    assert answer.headers["cache-control"] == "no-store"


def shown(of: Customer, meter: str = "minutes") -> tuple[int, int, int]:
    """Used, held and left, in which all that tells of it agrees."""
    (found,) = [usage for usage in of.subscription()["usage"] if usage["meter"] == meter]
    entitlement = granted(of.call("GET", f"/entitlements/{meter}"))
    assert entitlement == {"feature": meter, **found, "on": entitlement["on"], "reason": entitlement["reason"]}
    every = granted(of.call("GET", "/entitlements"))["entitlements"]
    assert every[meter] == {name: value for name, value in entitlement.items() if name != "feature"}
    assert entitlement["on"] is (found["remaining"] > 0)
    assert found.get("reserved") != 0, "what is held of nothing is not said"
    return found["used"], found.get("reserved", 0), found["remaining"]


def reached(answer: Response, used: int, reserved: int, remaining: int) -> None:
    problem = refusal(answer, 403, "value")
    assert problem["type"].endswith("/limit-reached")
    assert (problem["used"], problem.get("reserved", 0), problem["remaining"]) == (used, reserved, remaining)


def service(client: Client) -> str:
    return client.stack["tokens"]["service"]


def test_what_is_held_for_one_use_is_left_by_all_others_and_used_under_its_id(pro: Customer, records: Records) -> None:
    granted(pro.count(100))
    answer = granted(hold(pro, 2000, "call-1"))
    reservation = answer.pop("reservation")
    expected = {"meter": "minutes", "used": 100, "reserved": 2000, "limit": 3000, "remaining": 900, "percentage": 3.3}
    assert answer == expected
    assert (reservation["id"], reservation["value"], reservation["minutes"]) == ("call-1", 2000, 10)
    assert shown(pro) == (100, 2000, 900)
    before = records.of(pro.name)
    reached(pro.count(901, id="call-2"), 100, 2000, 900)
    reached(hold(pro, 901, "call-2"), 100, 2000, 900)
    assert records.of(pro.name) == before
    granted(pro.count(900, id="call-2"))
    assert shown(pro) == (1000, 2000, 0)
    reached(pro.increment(1), 1000, 2000, 0)
    # Less was used than was held, and the rest is everybody's again. Told twice, it is counted once.
    for tell in (lambda: pro.increment(1500, key="call-1"), lambda: pro.count(1500, id="call-1")):
        assert granted(tell()) == {"meter": "minutes", "used": 2500, "limit": 3000, "remaining": 500, "percentage": 83.3}
    # What was used is not held once more by who asks late.
    problem = refusal(hold(pro, 2000, "call-1"), 409, "id")
    assert problem["type"].endswith("/usage-id-reused")
    assert shown(pro) == (2500, 0, 500)


def test_asked_twice_it_is_held_once_and_let_go_twice_it_is_free(pro: Customer, records: Records) -> None:
    first = granted(hold(pro, 5, "call"))
    before = records.of(pro.name)
    assert granted(hold(pro, 5, "call")) == first
    for value, minutes in ((6, 10), (5, 11)):
        refusal(hold(pro, value, "call", minutes=minutes), 409, "id")
    assert records.of(pro.name) == before
    granted(hold(pro, 7, "other"))
    for _ in range(2):
        release(pro, "call")
        assert shown(pro) == (0, 7, 2993)
    release(pro, "never-heard-of")
    assert granted(hold(pro, 6, "call"))["reserved"] == 13


def test_when_its_time_is_over_nothing_is_held_and_nobody_had_to_come_by(client: Client, pro: Customer) -> None:
    answer = granted(hold(pro, 3000, "call", minutes=60))
    began = datetime.fromisoformat(pro.subscription()["current_period"]["start"])
    over = datetime.fromisoformat(answer["reservation"]["expires_at"])
    assert timedelta(hours=1) <= over - began < timedelta(hours=1, minutes=1)
    client.walked(customer=pro.name, to=(over - timedelta(seconds=5)).isoformat())
    assert shown(pro) == (0, 3000, 0)
    client.walked(customer=pro.name, to=over.isoformat())
    assert shown(pro) == (0, 0, 3000)
    granted(pro.count(2900))
    reached(pro.count(101, id="call"), 2900, 0, 100)
    assert granted(pro.count(100, id="call"))["used"] == 3000, "what is late is just a use"


def test_a_seat_is_held_while_it_is_made(pro: Customer) -> None:
    pro.use("agents", 4)
    assert granted(hold(pro, 1, "ada", meter="agents"))["remaining"] == 0
    refusal(hold(pro, 1, "bea", meter="agents"), 403, "value")
    assert pro.use("agents", 4) == {
        "meter": "agents", "used": 4, "reserved": 1, "limit": 5, "remaining": 0, "percentage": 80.0
    }
    assert shown(pro, "agents") == (4, 1, 0)
    pro.use("agents", 5)
    release(pro, "ada", meter="agents")
    assert shown(pro, "agents") == (5, 0, 0)


def test_what_is_signed_says_what_is_held(pro: Customer) -> None:
    granted(hold(pro, 3000, "call"))
    claims = granted(pro.call("GET", "/entitlements/token"))["token"].split(".")[1]

    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert told["limits"]["minutes"] == {"limit": 3000, "used": 0, "reserved": 3000, "remaining": 0}
    assert told["features"]["minutes"] == {"on": False, "reason": "limit_reached"}
    assert told["limits"]["agents"] == {"limit": 5, "used": 0, "remaining": 5}


# -- What holds nothing


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"value": 5}, "minutes"),
        ({"minutes": 10}, "value"),
        ({"value": 0, "minutes": 10}, "value"),
        ({"value": 2**53, "minutes": 10}, "value"),
        ({"value": 1.5, "minutes": 10}, "value"),
        ({"value": 5, "minutes": 0}, "minutes"),
        ({"value": 5, "minutes": 1441}, "minutes"),
        ({"value": 5, "minutes": "10"}, "minutes"),
        ({"value": 5, "minutes": 10, "id": "call"}, "id"),
        ({"value": 5, "minutes": 10, "customer": "acme"}, "customer"),
        ([5, 10], None),
    ],
    ids=str,
)
def test_what_cannot_be_read_holds_nothing(pro: Customer, records: Records, body: Any, field: str | None) -> None:
    before = records.of(pro.name)
    refusal(pro.call("PUT", at("call", "minutes"), body=body), 400, field)
    assert records.of(pro.name) == before


def test_ids_are_those_of_uses_and_meters_those_of_the_plan(pro: Customer, records: Records) -> None:
    before = records.of(pro.name)
    for id in ("a%20b", "%C3%A9", "x" * 256, "4242424242424242"):
        refusal(hold(pro, 1, id), 400, "id")
        refusal(pro.call("DELETE", at(id, "minutes")), 400, "id")
    for meter in ("analytics", "faxes", "Minutes"):
        refusal(hold(pro, 1, "call", meter=meter), 404)
        refusal(pro.call("DELETE", at("call", meter)), 404)
    assert records.of(pro.name) == before
    # As it is written in a path, it is the id that is written plainly in a body.
    assert granted(hold(pro, 10, "call%238231"))["reservation"]["id"] == "call#8231"
    granted(pro.count(10, id="call#8231"))
    assert shown(pro) == (10, 0, 2990)


def test_who_is_not_served_holds_nothing(customer: Customer, records: Records) -> None:
    assert refusal(hold(customer, 1, "call"), 404)["type"].endswith("/no-subscription")
    assert records.of(customer.name) == []
    granted(assign(customer, **PRO), 201)
    granted(hold(customer, 1, "call"))
    granted(customer.change("pause", effective="now"))
    assert refusal(hold(customer, 1, "other"), 404)["type"].endswith("/no-subscription")
    release(customer, "call")


def test_a_hundred_are_held_of_a_meter_and_no_more(pro: Customer) -> None:
    for n in range(100):
        granted(hold(pro, 1, f"call-{n}"))
    assert refusal(hold(pro, 1, "more"), 409, "id")["type"].endswith("/too-many-reservations")
    release(pro, "call-7")
    assert granted(hold(pro, 1, "more"))["reserved"] == 100


# -- Whose it is


def test_s17_what_one_holds_is_ones_own(pro: Customer, other: Customer, records: Records) -> None:
    granted(assign(other, **PRO), 201)
    granted(hold(pro, 1, "same"))
    granted(hold(other, 20, "same"))
    assert (shown(pro)[1], shown(other)[1]) == (1, 20)
    before = records.all()
    answers = [hold(pro, 5, "new", subject=name) for name in (other.name, pro.name, "nobody")]
    answers += [pro.call("DELETE", f"{at('same', 'minutes')}?subject={name}") for name in (other.name, "nobody")]
    for answer in answers:
        assert "billing:usage" in refusal(answer, 403)["detail"]
    assert len({str(substance(answer)) for answer in answers}) == 1
    assert records.all() == before
    release(pro, "same")
    assert (shown(pro)[1], shown(other)[1]) == (0, 20)


def test_a_service_holds_and_lets_go_for_any_customer(pro: Customer, issuer: Issuer) -> None:
    token = service(pro.client)
    assert granted(hold(pro, 30, "night", token=token, subject=pro.name))["reserved"] == 30
    assert granted(hold(pro, 30, "night"))["reserved"] == 30, "whoever asks, it is the customer's"
    refusal(hold(pro, 30, "own", token=token), 403)
    refusal(pro.call("DELETE", at("night", "minutes"), token=token), 403)
    for scope in ("billing:read", "billing:read billing:write billing:admin"):
        refusal(hold(pro, 1, "a", token=issuer.mint("service", scope), subject=pro.name), 403)
    refusal(hold(pro, 1, "a", token=issuer.mint(pro.name, "billing:read")), 403)
    release(pro, "night", query=f"?subject={pro.name}", token=token)
    assert shown(pro) == (0, 0, 3000)


# -- At once


def test_s33_of_two_hundred_who_reserve_at_once_as_many_hold_as_there_is_left(pro: Customer) -> None:
    granted(pro.count(2950))
    with ThreadPoolExecutor(64) as crowd:
        answers = list(crowd.map(lambda n: patiently(lambda: hold(pro, 1, f"call-{n}", minutes=1440)), range(200)))
    assert Counter(answer.status for answer in answers) == {200: 50, 403: 150}
    for answer in answers:
        if answer.status == 200:
            assert answer.json()["used"] + answer.json()["reserved"] <= 3000
        else:
            reached(answer, 2950, 50, 0)
    assert shown(pro) == (2950, 50, 0)


def test_s33_whoever_reserves_uses_and_lets_go_at_once_nothing_passes_the_limit(pro: Customer, records: Records) -> None:
    granted(pro.count(2900))

    def one(n: int) -> int:
        """How much is used in the end by who wants it."""
        match n % 4:
            case 0:
                return int(patiently(lambda: pro.count(3, id=f"use-{n}")).status == 200) * 3
            case 1:
                held = patiently(lambda: hold(pro, 3, f"use-{n}"))
                if held.status != 200:
                    return 0
                granted(patiently(lambda: pro.count(2, id=f"use-{n}")))  # what is held is there to be used
                return 2
            case 2:
                if patiently(lambda: hold(pro, 2, f"use-{n}")).status == 200:
                    assert patiently(lambda: pro.call("DELETE", at(f"use-{n}", "minutes"))).status == 204
                return 0
        answer = granted(pro.call("GET", "/entitlements/minutes"))
        assert answer["used"] + answer.get("reserved", 0) <= 3000
        return 0

    with ThreadPoolExecutor(32) as crowd:
        used = sum(crowd.map(one, range(200)))
    assert 0 < used <= 100
    assert shown(pro) == (2900 + used, 0, 100 - used)
    assert sum(int(it["value"]["N"]) for it in records.of(pro.name, "COUNT#")) == 2900 + used
