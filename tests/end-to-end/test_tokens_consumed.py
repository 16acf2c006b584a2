"""Prepaid tokens are consumed: once for each key, by their owner or a service, never below zero (PRODUCT 25, I-15)."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from answers import patiently, refusal, substance
from client import Client, Response, wait_for
from customer import PATIENCE, Customer, Gateways, granted
from issuer import Issuer
from records import Records
from test_administration import administer, assign

# Basic brings 1000 tokens every 30 days, Pro 5000.
BASIC = {"plan": "tokens-basic", "interval": "30_days"}
STRIPE = {"gateway": "stripe", "currency": "USD", "interval": "30_days"}


def gift(customer: Customer, *, left: int = 1000) -> Customer:
    """With Basic for nothing, and so many of its tokens left."""
    granted(assign(customer, **BASIC, comp={"percent": 100, "periods": None}), 201)
    if left < 1000:
        granted(customer.consume(1000 - left))
    return customer


@pytest.fixture
def holder(customer: Customer) -> Customer:
    return gift(customer)


def balance(customer: Customer) -> int:
    return customer.subscription()["tokens"]["balance"]


def history(customer: Customer, query: str = "") -> dict[str, Any]:
    return granted(customer.call("GET", f"/tokens/history{query}"))


def reported(customer: Customer, tokens: int, **more: Any) -> Response:
    """By a service of the SaaS, which names the customer."""
    service = customer.client.stack["tokens"]["service"]
    return customer.consume(tokens, **{"token": service, "subject": customer.name} | more)


def statuses(answers: list[Response]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


# -- One after the other


@pytest.mark.parametrize(("plan", "tokens"), [("tokens-basic", 1000), ("tokens-pro", 5000)])
def test_what_a_plan_brings_is_consumed_and_comes_again(
    client: Client, customer: Customer, plan: str, tokens: int
) -> None:
    customer.subscribe(plan=plan, **STRIPE)
    assert customer.subscription()["tokens"] == {"balance": tokens, "included": tokens, "active": True}
    answer = granted(customer.consume(25, description="A report"))
    consumption = answer["consumption"]
    assert (answer["balance"], consumption["balance"]) == (tokens - 25, tokens - 25)
    assert (consumption["tokens"], consumption["description"]) == (25, "A report")
    assert granted(customer.consume(1))["consumption"]["description"] is None
    assert balance(customer) == tokens - 26
    client.walked(customer=customer.name, by="P30D")
    assert customer.subscription()["tokens"] == {"balance": 2 * tokens - 26, "included": tokens, "active": True}
    assert history(customer)["consumptions"][1] == consumption, "what was consumed before is still there"


def test_a_key_has_the_same_answer_whatever_was_consumed_since(holder: Customer, records: Records) -> None:
    first = holder.consume(10, key="report-1", description="A report")
    granted(holder.consume(500))
    before = records.of(holder.name)
    assert substance(holder.consume(10, key="report-1", description="A report")) == substance(first)
    assert granted(first)["balance"] == 990
    for tokens, more in ((11, {"description": "A report"}), (10, {"description": "Another"}), (10, {})):
        problem = refusal(holder.consume(tokens, key="report-1", **more), 422, "Idempotency-Key")
        assert problem["type"].endswith("/idempotency-key-reused")
    assert records.of(holder.name) == before


def test_a_key_has_the_same_answer_when_nothing_is_left(customer: Customer) -> None:
    gift(customer, left=10)
    first = granted(customer.consume(10, key="the-last"))
    assert granted(customer.consume(10, key="the-last")) == first
    refusal(customer.consume(1), 402, "tokens")


def test_too_few_are_left_as_they_are(customer: Customer, records: Records) -> None:
    gift(customer, left=50)
    before = records.of(customer.name)
    for tokens in (51, 4_294_967_295):
        problem = refusal(customer.consume(tokens, key="more"), 402, "tokens")
        assert (problem["type"].rpartition("/")[2], problem["balance"]) == ("insufficient-tokens", 50)
    assert records.of(customer.name) == before
    # What was refused has used up no key.
    assert granted(customer.consume(50, key="more"))["balance"] == 0


def test_without_a_subscription_there_are_no_tokens(customer: Customer, records: Records) -> None:
    refusal(customer.consume(1), 404)
    refusal(reported(customer, 1), 404)
    assert history(customer) == {"consumptions": [], "next": None}
    assert records.of(customer.name) == []


def test_of_a_subscription_that_is_not_active_nothing_is_consumed(customer: Customer, records: Records) -> None:
    gift(customer, left=900)
    first = granted(customer.consume(1, key="before"))
    granted(customer.change("cancel", effective="now"))
    before = records.of(customer.name)
    for answer in (customer.consume(1), reported(customer, 1)):
        assert refusal(answer, 400)["type"].endswith("/subscription-inactive")
    assert granted(customer.consume(1, key="before")) == first, "what was done is told again"
    assert len(history(customer)["consumptions"]) == 2
    assert records.of(customer.name) == before


def test_a_subscription_whose_page_nobody_has_paid_is_not_active(customer: Customer) -> None:
    customer.checkout(plan="tokens-basic", **STRIPE)
    assert refusal(customer.consume(1), 400)["type"].endswith("/subscription-inactive")


def test_a_plan_without_tokens_has_none_to_consume(customer: Customer) -> None:
    granted(assign(customer, comp={"percent": 100, "periods": 1}), 201)
    assert refusal(customer.consume(1), 402, "tokens")["balance"] == 0


# -- What makes no sense

TOKENS: list[Any] = [0, -1, 1.5, 2**63, 2**32, float("nan"), "1", None, True, [1], {}]


@pytest.mark.parametrize("tokens", TOKENS, ids=str)
def test_s32_what_is_no_number_of_tokens_is_refused(holder: Customer, records: Records, tokens: Any) -> None:
    before = records.of(holder.name)
    refusal(holder.consume(tokens), 400, "tokens")
    refusal(reported(holder, tokens), 400, "tokens")
    assert records.of(holder.name) == before


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"description": ""}, "description"),
        ({"description": "a" * 201}, "description"),
        ({"description": "two\nlines"}, "description"),
        ({"description": "a\ttab"}, "description"),
        ({"description": "a\u0000NUL"}, "description"),
        ({"description": 5}, "description"),
        ({"subject": "acme#SUB"}, "subject"),
        ({"subject": ""}, "subject"),
        ({"customer": "acme"}, "customer"),
        ({"amount": 5}, "amount"),
    ],
)
def test_what_makes_no_sense_besides_is_refused(
    holder: Customer, records: Records, more: dict[str, Any], field: str
) -> None:
    before = records.of(holder.name)
    refusal(holder.consume(1, **more), 400, field)
    assert records.of(holder.name) == before


def test_the_longest_description_is_good_in_any_script(holder: Customer) -> None:
    for description in ("a" * 200, "ღ" * 200, "Отчёт № 12"):
        assert granted(holder.consume(1, description=description))["consumption"]["description"] == description


@pytest.mark.parametrize("key", [None, "", "with space", "a" * 256, "staff:k", "service:k"])
def test_s36_s37_a_key_is_needed_and_has_a_form(holder: Customer, records: Records, key: str | None) -> None:
    before = records.of(holder.name)
    headers = {} if key is None else {"idempotency-key": key}
    for names, token in (({}, holder.token), ({"subject": holder.name}, holder.client.stack["tokens"]["service"])):
        body = {"tokens": 1} | names
        refusal(holder.call("POST", "/tokens/consume", body=body, headers=headers, token=token), 400, "Idempotency-Key")
    assert records.of(holder.name) == before


# -- Whose they are


def test_s17_what_one_consumes_is_ones_own(customer: Customer, other: Customer, records: Records) -> None:
    for each, tokens in ((gift(customer), 1), (gift(other), 2)):
        granted(each.consume(tokens, key="same", description=f"Of {each.name}"))
    assert (balance(customer), balance(other)) == (999, 998)
    (theirs,) = history(other)["consumptions"]
    assert [it["description"] for it in history(customer)["consumptions"]] == [f"Of {customer.name}"]
    # Their cursor is a time like any other, and shows nothing but one's own.
    for query in (f"?before={theirs['id']}", f"?customer={other.name}", f"?sub={other.name}"):
        assert other.name not in str(history(customer, query))
    before = records.of(other.name)
    # To name another is to be a service; one's own name is no exception, nor is one that nobody has.
    answers = [customer.consume(1, key="k", subject=name) for name in (other.name, customer.name, "nobody")]
    problem = refusal(answers[0], 403)
    assert "billing:usage" in problem["detail"]
    assert len({str(substance(answer)) for answer in answers}) == 1
    assert records.of(other.name) == before


def test_a_service_reports_for_any_customer_and_may_do_nothing_else(holder: Customer, issuer: Issuer) -> None:
    answer = granted(reported(holder, 30, description="A night's batch"))
    assert (answer["balance"], balance(holder)) == (970, 970)
    assert history(holder)["consumptions"] == [answer["consumption"]]
    service = holder.client.stack["tokens"]["service"]
    refusal(holder.consume(1, token=service), 403)  # of its own it has none
    for method, path in (("GET", "/tokens/history"), ("GET", "/subscription"), ("PUT", "/usage/estates")):
        refusal(holder.call(method, path, token=service, body={"value": 1}), 403)
    for scope in ("billing:read", "billing:read billing:write", "billing:read billing:write billing:admin"):
        refusal(reported(holder, 1, token=issuer.mint("service", scope)), 403)
    assert balance(holder) == 970


def test_the_keys_of_a_service_and_of_a_customer_do_not_meet(holder: Customer) -> None:
    mine, theirs = granted(holder.consume(1, key="same")), granted(reported(holder, 20, key="same"))
    assert mine["consumption"]["id"] != theirs["consumption"]["id"]
    assert (granted(holder.consume(1, key="same")), granted(reported(holder, 20, key="same"))) == (mine, theirs)
    assert balance(holder) == 979


def test_staff_set_the_balance_and_what_was_consumed_stays_told(holder: Customer) -> None:
    consumption = granted(holder.consume(400, key="report"))["consumption"]
    granted(administer(holder, "reset_tokens"))
    assert (balance(holder), history(holder)["consumptions"]) == (1000, [consumption])
    assert granted(holder.consume(400, key="report"))["consumption"] == consumption
    assert balance(holder) == 1000


# -- When the money goes back


def moved(customer: Customer, records: Records) -> list[tuple[str, int, str | None]]:
    """What the subscription's history says of tokens that went with the money, or came back with it."""
    events = [it for it in records.of(customer.name, "EVENT#") if it["type"]["S"] in ("tokens_taken_back", "tokens_put_back")]
    return [(it["payment"]["S"], int(it["tokens"]["N"]), it.get("because", {}).get("S")) for it in events]


def refunded(client: Client, customer: Customer, payment: str) -> None:
    """Wait until all of it is gone."""

    def gone() -> bool:
        client.walked(customer=customer.name, by="PT6H")
        return customer.payment(payment)["status"] == "refunded"

    wait_for(gone, PATIENCE, f"the refund of {payment}", pause=0.3)


def test_tokens_go_with_the_money_that_they_came_with_and_a_part_takes_none(
    client: Client, customer: Customer, records: Records
) -> None:
    payment = customer.subscribe(plan="tokens-basic", **STRIPE)["id"]
    granted(customer.consume(300))
    granted(customer.refund(payment, {"minor": 100, "currency": "USD"}, key="part"), 201)
    assert (balance(customer), moved(customer, records)) == (700, [])
    for _ in range(2):
        granted(customer.refund(payment, "all", key="rest"), 201)
    refunded(client, customer, payment)
    assert customer.subscription()["tokens"] == {"balance": 0, "included": 1000, "active": False}
    assert refusal(customer.consume(1), 402, "tokens")["balance"] == 0
    # Whoever asks again, and whatever the gateway tells again, takes no more: the next period has its own.
    customer.verify(payment)
    client.walked(customer=customer.name, by="P30D")
    customer.verify(payment)
    assert balance(customer) == 1000
    assert moved(customer, records) == [(payment, 700, "refunded")]


def test_a_lost_dispute_takes_them_and_one_that_the_bank_decides_about_does_not(
    customer: Customer, gateways: Gateways, records: Records
) -> None:
    payment = customer.subscribe(plan="tokens-basic", **STRIPE)

    def disputed(outcome: str, status: str) -> None:
        gateways.order("dispute", {"gateway": "stripe", "reference": payment["reference"], "outcome": outcome})
        customer.verify(payment["id"])
        found = customer.subscription()
        assert (found["status"], customer.payment(payment["id"])["status"]) == (status, "disputed")

    disputed("open", "active")
    assert granted(customer.consume(100))["balance"] == 900
    disputed("lost", "canceled")
    refusal(customer.consume(1), 400)
    assert moved(customer, records) == [(payment["id"], 900, "disputed")]
    (held,) = records.of(customer.name, "LIVE#TOKENS")
    assert held["balance"]["N"] == "0"


# -- What was consumed


def pages(customer: Customer, limit: int) -> list[str]:
    """All ids, page by page, to the end."""
    seen: list[str] = []
    cursor = ""
    while True:
        page = history(customer, f"?limit={limit}{cursor}")
        assert len(page["consumptions"]) <= limit
        seen += [it["id"] for it in page["consumptions"]]
        if page["next"] is None:
            return seen
        assert page["next"] == seen[-1]
        cursor = f"&before={page['next']}"


def test_the_history_is_told_newest_first_by_pages_without_gaps_or_doubles(client: Client, holder: Customer) -> None:
    made = [granted(holder.consume(n))["consumption"]["id"] for n in range(1, 8)]
    client.walked(customer=holder.name, by="P31D")
    # Many in the same moment, too.
    with ThreadPoolExecutor(8) as crowd:
        answers = crowd.map(lambda n: patiently(lambda: holder.consume(8, key=f"call-{n}")), range(24))
        made += [granted(it)["consumption"]["id"] for it in answers]
    newest_first = sorted(made, reverse=True)
    assert newest_first[-7:] == made[6::-1]
    for limit in (1, 5, 31, 100):
        assert pages(holder, limit) == newest_first, limit
    assert [it["id"] for it in history(holder)["consumptions"]] == newest_first[:20]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("before=x", "before"),
        ("before=pay_aaaaaaaaaaaa-1-0-1", "before"),
    ],
)
def test_a_page_that_makes_no_sense_is_refused(holder: Customer, query: str, field: str) -> None:
    answer = holder.call("GET", f"/tokens/history?{query}")
    assert answer.status in (400, 422)
    refusal(answer, answer.status, field)


# -- At once


def test_s33_of_a_hundred_at_once_as_many_are_granted_as_there_are_tokens(customer: Customer) -> None:
    gift(customer, left=50)
    with ThreadPoolExecutor(100) as crowd:
        answers = list(crowd.map(lambda n: patiently(lambda: customer.consume(1, key=f"call-{n}")), range(100)))
    assert statuses(answers) == {200: 50, 402: 50}
    assert {refusal(answer, 402, "tokens")["balance"] for answer in answers if answer.status == 402} == {0}
    assert balance(customer) == 0
    assert len(history(customer, "?limit=100")["consumptions"]) == 51  # one made it fifty


def test_s34_fifty_at_once_with_one_key_take_once_and_have_one_answer(holder: Customer, records: Records) -> None:
    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(lambda _: patiently(lambda: holder.consume(7, key="crowd", description="A report")), range(50)))
    assert len({answer.body for answer in answers}) == 1
    assert granted(answers[0])["balance"] == balance(holder) == 993
    assert len(records.of(holder.name, "USE#")) == 1


def test_fifty_at_once_with_one_key_for_different_things_have_one_of_them(holder: Customer) -> None:
    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(lambda n: patiently(lambda: holder.consume(n, key="crowd")), range(1, 51)))
    assert statuses(answers) == {200: 1, 422: 49}
    (taken,) = history(holder)["consumptions"]
    assert balance(holder) == 1000 - taken["tokens"]


def test_i15_a_thousand_calls_take_what_there_is_and_no_more(customer: Customer, records: Records) -> None:
    gift(customer, left=700)
    keys = [f"call-{n}" for n in range(900)] + [f"call-{n}" for n in range(100)]
    random.Random(25).shuffle(keys)
    with ThreadPoolExecutor(32) as crowd:
        answers = dict(enumerate(crowd.map(lambda key: patiently(lambda: customer.consume(1, key=key)), keys)))
    assert set(statuses(list(answers.values()))) == {200, 402}
    granted_under: dict[str, set[bytes]] = {}
    for n, answer in answers.items():
        if answer.status == 200:
            granted_under.setdefault(keys[n], set()).add(answer.body)
            assert answer.json()["balance"] >= 0
        else:
            assert refusal(answer, 402, "tokens")["balance"] == 0
    # Each of them once, however often its key came.
    assert len(granted_under) == 700
    assert all(len(bodies) == 1 for bodies in granted_under.values())
    assert (balance(customer), len(records.of(customer.name, "USE#")) - 1) == (0, 700)
    key, bodies = granted_under.popitem()
    assert {customer.consume(1, key=key).body} == bodies


def test_tokens_that_come_while_others_are_consumed_are_not_lost(client: Client, holder: Customer) -> None:
    """A renewal and whoever consumes are after the same balance."""

    def consume(n: int) -> int:
        return patiently(lambda: holder.consume(1, key=f"call-{n}")).status

    with ThreadPoolExecutor(9) as crowd:
        renewed = crowd.submit(client.walked, customer=holder.name, by="P90D")
        answers = Counter(crowd.map(consume, range(200)))
        renewed.result()
    assert answers == {200: 200}
    assert balance(holder) == 4 * 1000 - 200
