"""A customer sees and changes what is theirs, and cannot tell another's from nothing (I-21)."""

import random
import string

import pytest
from answers import refusal, substance
from client import Client
from customer import Customer, granted
from records import Records


def nobodys() -> str:
    """A payment's id of the right form that belongs to no one."""
    return f"pay_{''.join(random.choices(string.ascii_lowercase + '234567', k=12))}-1-0-1"


@pytest.mark.parametrize(("method", "path"), [("GET", "/payments/{id}"), ("POST", "/payments/{id}/verify")])
def test_s17_s18_anothers_payment_is_answered_like_nobodys(
    customer: Customer, other: Customer, records: Records, method: str, path: str
) -> None:
    customer.checkout()
    theirs = other.checkout()["id"]
    before = records.all()
    for at in (path, path + "/"):
        found = customer.call(method, at.replace("{id}", theirs))
        unknown = customer.call(method, at.replace("{id}", nobodys()))
        refusal(found, 404)
        assert substance(found) == substance(unknown)
    assert records.all() == before


def test_s17_ones_own_payment_that_does_not_exist_is_answered_the_same(customer: Customer) -> None:
    mine = customer.checkout()["id"]
    later = mine[:-1] + "9"
    assert substance(customer.call("GET", f"/payments/{later}")) == substance(
        customer.call("GET", f"/payments/{nobodys()}")
    )


@pytest.mark.parametrize(
    "text",
    [
        "pay_",
        "x",
        "sub_aaaaaaaaaaaa-1",
        "pay_aaaaaaaaaaaa-01-0-1",
        "pay_aaaaaaaaaaaa-1-0-1-1",
        "pay_aaaaaaaaaaaa-99999999999-0-1",
        "CUST%23acme",
        "PAY%2300000001",
        "..",
        "%2e%2e%2fplans",
        "%00",
        "%ff",
        "%C3%BC",
        "pay_" + "a" * 300,
        "*",
        "%7B%7D",
    ],
)
def test_s22_an_id_that_is_none_leads_nowhere(customer: Customer, records: Records, text: str) -> None:
    before = records.all()
    for method, path in (("GET", f"/payments/{text}"), ("POST", f"/payments/{text}/verify")):
        answer = customer.call(method, path)
        assert answer.status in (400, 404), path
        assert b"panicked" not in answer.body and b"/src/" not in answer.body
    assert records.all() == before


def test_s24_a_gateways_reference_is_no_payment(customer: Customer, other: Customer) -> None:
    reference = other.checkout()["reference"]
    refusal(customer.call("POST", f"/payments/{reference}/verify"), 404)


def test_s20_who_one_says_one_is_in_headers_does_not_matter(customer: Customer, other: Customer) -> None:
    mine = customer.checkout()["id"]
    other.checkout(plan="estates-starter")
    claimed = ["x-tenant-id", "x-tenant", "x-customer", "x-user", "x-forwarded-user", "x-original-url"]
    headers = dict.fromkeys(claimed, other.name)
    answer = customer.call("GET", "/payments", headers=headers)
    assert [payment["id"] for payment in granted(answer)["payments"]] == [mine]
    assert substance(answer) == substance(customer.call("GET", "/payments"))


def test_s20_who_one_says_one_is_in_a_query_does_not_matter(customer: Customer, other: Customer) -> None:
    other.checkout()
    assert granted(customer.call("GET", f"/payments?customer={other.name}&sub={other.name}"))["payments"] == []


BODIES = ["/payments", "/subscription/validate-downgrade", "/subscription/preview", "/subscription/changes"]
BODIES += ["/tokens/consume", "/usage", "/usage/minutes/increment"]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("name", ["customer", "tenant", "tenant_id", "sub", "email"])
def test_s19_who_one_says_one_is_in_a_body_is_refused(
    customer: Customer, other: Customer, records: Records, path: str, name: str
) -> None:
    before = records.all()
    headers = {"idempotency-key": "k"}
    refusal(customer.call("POST", path, body={name: other.name}, headers=headers), 400, name)
    assert records.all() == before


def test_s23_anothers_cursor_shows_nothing_of_theirs(customer: Customer, other: Customer) -> None:
    mine = customer.checkout()["id"]
    theirs = [other.checkout(plan=plan)["id"] for plan in ("estates-starter", "estates-professional")]
    for cursor in (*theirs, nobodys()):
        answer = customer.call("GET", f"/payments?before={cursor}")
        refusal(answer, 400, "before")
        assert not any(payment.encode() in answer.body for payment in (*theirs, mine))


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), ("before=x", "before")],
)
def test_a_page_that_makes_no_sense_is_refused(customer: Customer, query: str, field: str) -> None:
    answer = customer.call("GET", f"/payments?{query}")
    assert answer.status in (400, 422)
    refusal(answer, answer.status, field)


def test_two_customers_usage_and_subscriptions_are_apart(
    client: Client, customer: Customer, other: Customer
) -> None:
    customer.subscribe()
    other.subscribe(plan="estates-starter")
    customer.use("estates", 26)
    used = {usage["meter"]: usage["used"] for usage in other.subscription()["usage"]}
    assert used["estates"] == 0
    assert other.subscription()["plan"]["id"] == "estates-starter"
    assert customer.subscription()["plan"]["id"] == "estates-professional"
