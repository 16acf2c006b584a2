"""Staff have a counter and its days reckoned again from the records of its uses, which they are never but equal to."""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from answers import patiently, refusal
from client import Client, Response
from customer import Customer, granted
from issuer import Issuer
from records import Records
from test_administration import assign

PRO = {"plan": "minutes-pro", "interval": "month", "comp": {"percent": 100, "periods": None}}


@pytest.fixture
def pro(customer: Customer) -> Customer:
    granted(assign(customer, **PRO), 201)
    return customer


def rebuild(of: Customer, *, meter: str = "minutes", token: str | None = None, body: Any = None, **how: Any) -> Response:
    path = f"/admin/customers/{of.name}/usage/{meter}/rebuild"
    return of.client.call("POST", path, token=token or of.client.stack["tokens"]["admin"], body=body or how)


def told(answer: Response, *, dry_run: bool, days: Sequence[Any] = ()) -> list[tuple[str, int, int]]:
    """The index of each period, what was counted in it, and what is recorded. Of `days` something else is recorded."""
    said = granted(answer)
    assert (said["meter"], said["dry_run"], said["days"]) == ("minutes", dry_run, [*days])
    return [(it["period"].rpartition("-")[2], it["counted"], it["recorded"]) for it in said["periods"]]


def tamper(customer: Customer, records: Records, value: int, kind: str = "LIVE#USAGE#minutes") -> None:
    """Writes what nobody counted into the counter, or into its only day, past the API."""
    (item,) = records.of(customer.name, kind)
    records.table.update_item(
        TableName=records.name,
        Key={"pk": item["pk"], "sk": item["sk"]},
        UpdateExpression="SET #value = :value",
        ExpressionAttributeNames={"#value": "value"},
        ExpressionAttributeValues={":value": {"N": str(value)}},
    )


def used(customer: Customer) -> int:
    return granted(customer.call("GET", "/entitlements/minutes"))["used"]


def used_today(customer: Customer) -> int:
    (minutes,) = granted(customer.call("GET", "/usage/statistics"))["meters"]
    return minutes["today"]


def test_what_a_crowd_has_reported_is_what_is_recorded(client: Client, pro: Customer, records: Records) -> None:
    ids = [f"call-{n % 150}" for n in range(200)]
    random.Random(26).shuffle(ids)
    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(lambda id: patiently(lambda: pro.count(3, id=id)), ids))
    assert {answer.status for answer in answers} == {200}
    before = records.of(pro.name)
    for dry_run in (True, False):
        assert told(rebuild(pro, dry_run=dry_run), dry_run=dry_run) == [("0", 450, 450)]
    assert records.of(pro.name) == before, "what is right is left alone"
    client.walked(customer=pro.name, by="P1M1D")
    granted(pro.count(7))
    assert told(rebuild(pro, dry_run=False), dry_run=False) == [("1", 7, 7)]


def test_a_counter_that_says_something_else_is_set_right_when_that_is_asked_for(pro: Customer, records: Records) -> None:
    granted(pro.count(2500))
    tamper(pro, records, 31)
    before = records.of(pro.name)
    assert told(rebuild(pro, dry_run=True), dry_run=True) == [("0", 31, 2500)]
    assert (records.of(pro.name), used(pro)) == (before, 31)
    assert told(rebuild(pro, dry_run=False), dry_run=False) == [("0", 31, 2500)]
    assert used(pro) == 2500
    assert told(rebuild(pro, dry_run=False), dry_run=False) == [("0", 2500, 2500)]
    assert granted(pro.count(500))["used"] == 3000
    refusal(pro.count(1), 403, "value")


def test_a_day_that_says_something_else_is_set_right_with_its_counter(pro: Customer, records: Records) -> None:
    granted(pro.count(2500))
    today = granted(pro.call("GET", "/usage/statistics"))["date"]
    tamper(pro, records, 31, "DAY#")
    before = records.of(pro.name)
    wrong = {"date": today, "counted": 31, "recorded": 2500}
    assert told(rebuild(pro, dry_run=True), dry_run=True, days=[wrong]) == [("0", 2500, 2500)]
    assert (records.of(pro.name), used_today(pro)) == (before, 31)
    tamper(pro, records, 7)
    assert told(rebuild(pro, dry_run=False), dry_run=False, days=[wrong]) == [("0", 7, 2500)]
    assert (used(pro), used_today(pro)) == (2500, 2500)
    assert told(rebuild(pro, dry_run=False), dry_run=False) == [("0", 2500, 2500)]
    granted(pro.count(500))
    assert used_today(pro) == 3000


def test_staff_alone_may_and_what_makes_no_sense_is_refused(pro: Customer, other: Customer, records: Records, issuer: Issuer) -> None:
    granted(pro.count(5))
    tamper(pro, records, 6)
    before = records.of(pro.name)
    service = pro.client.stack["tokens"]["service"]
    for token in (pro.token, other.token, service, issuer.mint("staff", "billing:read billing:write billing:usage")):
        refusal(rebuild(pro, dry_run=False, token=token), 403)
    for body in ({"dry_run": "no"}, {"dry_run": None}, {"dry_run": True, "value": 5}, {"value": 5}):
        refusal(rebuild(pro, body=body), 400)
    refusal(rebuild(pro, meter="agents", dry_run=False), 422, "meter")
    refusal(rebuild(pro, meter="faxes", dry_run=False), 404)
    refusal(rebuild(other, dry_run=False), 404)
    assert (records.of(pro.name), records.of(other.name)) == (before, [])
