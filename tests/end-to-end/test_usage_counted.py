"""What is used of what is counted: each use once under its id, in the period at hand, within the limit (PRODUCT 24)."""

import json
import random
from collections import Counter
from collections.abc import Callable
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
from test_checkout import CARD

# 3000 minutes a month, and five agents.
PRO = {"plan": "minutes-pro", "interval": "month", "comp": {"percent": 100, "periods": None}}

Row = dict[str, Any]


def gift(customer: Customer, *, used: int = 0) -> Customer:
    """With Pro for nothing, and so many of its minutes used."""
    granted(assign(customer, **PRO), 201)
    if used:
        granted(customer.count(used))
    return customer


@pytest.fixture
def pro(customer: Customer) -> Customer:
    return gift(customer)


def standing(used: int) -> dict[str, Any]:
    """Of so many minutes of Pro. A percentage has one decimal, half of which is rounded up."""
    percentage = (used * 1000 + 1500) // 3000 / 10
    return {"meter": "minutes", "used": used, "limit": 3000, "remaining": 3000 - used, "percentage": percentage}


def shown(customer: Customer) -> int:
    """How many minutes are used, in which all that tells of it agrees."""
    (found,) = [usage for usage in customer.subscription()["usage"] if usage["meter"] == "minutes"]
    entitlement = granted(customer.call("GET", "/entitlements/minutes"))
    assert entitlement == {"feature": "minutes", **found, "on": entitlement["on"], "reason": entitlement["reason"]}
    assert granted(customer.call("GET", "/entitlements"))["entitlements"]["minutes"]["used"] == found["used"]
    assert found == standing(found["used"])
    return found["used"]


def reached(answer: Response, used: int) -> None:
    problem = refusal(answer, 403, "value")
    assert problem["type"].endswith("/limit-reached")
    assert (problem["used"], problem["limit"], problem["remaining"]) == (used, 3000, 3000 - used)


def row(value: Any, id: str, **more: Any) -> Row:
    return {"meter": "minutes", "value": value, "id": id} | more


def batch(customer: Customer, rows: Any, *, token: str | None = None) -> Response:
    return customer.call("POST", "/usage", body={"records": rows}, token=token or customer.token)


def service(client: Client) -> str:
    return client.stack["tokens"]["service"]


def statuses(answers: list[Response]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


def counts(customer: Customer, records: Records) -> int:
    """How many uses are stored."""
    return len(records.of(customer.name, "COUNT#"))


# -- One after the other


def test_each_use_is_counted_once_under_its_id(pro: Customer, records: Records) -> None:
    assert granted(pro.count(100, id="call-1")) == standing(100)
    # The reference numbers: 150 of 3000 are 5.0 per cent.
    answer = granted(pro.count(50, id="call-2"))
    assert answer == {"meter": "minutes", "used": 150, "limit": 3000, "remaining": 2850, "percentage": 5.0}
    assert shown(pro) == 150
    before = records.of(pro.name)
    assert granted(pro.count(100, id="call-1")) == standing(150), "told again, it is counted; this is how it stands now"
    for value, more in ((101, {}), (100, {"at": "2026-01-01T00:00:00Z"})):
        problem = refusal(pro.count(value, id="call-1", **more), 409, "id")
        assert problem["type"].endswith("/usage-id-reused")
    assert records.of(pro.name) == before


def test_what_is_beyond_the_limit_is_not_counted_and_what_fits_is(customer: Customer, records: Records) -> None:
    gift(customer, used=2999)
    before = records.of(customer.name)
    for value in (2, 3000, 2**53 - 1):
        reached(customer.count(value, id="more"), 2999)
    assert records.of(customer.name) == before
    # What was refused has used up no id.
    assert granted(customer.count(1, id="more")) == standing(3000)
    reached(customer.count(1), 3000)
    assert granted(customer.count(1, id="more")) == standing(3000), "what was counted is told again"
    assert shown(customer) == 3000
    assert granted(customer.call("GET", "/entitlements/minutes"))["reason"] == "limit_reached"


def test_the_whole_limit_may_be_used_at_once(pro: Customer) -> None:
    assert granted(pro.count(3000)) == standing(3000)


def test_an_increment_is_the_same_use_told_in_another_way(pro: Customer, records: Records) -> None:
    assert granted(pro.increment(7, key="call-1")) == standing(7)
    assert granted(pro.count(7, id="call-1")) == standing(7)
    assert granted(pro.count(5, id="call-2")) == standing(12)
    assert granted(pro.increment(5, key="call-2")) == standing(12)
    before = records.of(pro.name)
    for answer in (pro.increment(8, key="call-1"), pro.count(8, id="call-1"), pro.increment(6, key="call-2")):
        assert refusal(answer, 409, "id")["type"].endswith("/usage-id-reused")
    reached(pro.increment(2989, key="call-3"), 12)
    assert records.of(pro.name) == before


def test_what_is_late_counts_now_and_what_is_to_come_does_not(client: Client, pro: Customer, records: Records) -> None:
    now = datetime.fromisoformat(pro.subscription()["current_period"]["start"])

    def at(**ahead: int) -> str:
        return (now + timedelta(**ahead)).isoformat()

    assert granted(pro.count(1, at=at(days=-90))) == standing(1)
    assert granted(pro.count(1, at=at(minutes=4))) == standing(2)
    before = records.of(pro.name)
    for late in (at(minutes=30), at(days=1), "9999-12-30T00:00:00Z"):
        refusal(pro.count(1, at=late), 422, "at")
    assert records.of(pro.name) == before


def test_one_moment_written_in_two_ways_is_the_same_use(pro: Customer) -> None:
    assert granted(pro.count(1, id="call", at="2026-01-01T12:00:00Z")) == standing(1)
    assert granted(pro.count(1, id="call", at="2026-01-01T13:00:00.000+01:00")) == standing(1)


def test_every_period_starts_at_zero(client: Client, customer: Customer) -> None:
    gift(customer, used=2900)
    during = customer.subscription()["current_period"]["start"]
    assert granted(customer.count(100, id="the-last")) == standing(3000)
    client.walked(customer=customer.name, by="P1M1D")
    assert shown(customer) == 0
    assert granted(customer.call("GET", "/entitlements/minutes"))["on"] is True
    assert granted(customer.count(100, id="the-last")) == standing(0), "it was counted then, and is not again"
    assert granted(customer.count(30, id="late", at=during)) == standing(30)
    assert granted(customer.increment(3)) == standing(33)
    client.walked(customer=customer.name, by="P2M")
    assert shown(customer) == 0


# -- Who uses nothing


def test_without_a_subscription_nothing_is_used(customer: Customer, records: Records) -> None:
    for answer in (customer.count(1), customer.increment(1)):
        assert refusal(answer, 404)["type"].endswith("/no-subscription")
    (refused,) = granted(batch(customer, [row(1, "a")]))["records"]
    assert (refused["outcome"], refused["problem"]["status"]) == ("refused", 404)
    assert records.of(customer.name) == []


def test_while_nobody_has_paid_nothing_is_used(customer: Customer) -> None:
    customer.checkout(plan="minutes-pro", gateway="stripe", currency="USD")
    refusal(customer.count(1), 404)


def test_through_a_pause_nothing_is_used_and_what_was_counted_is_told_again(pro: Customer, records: Records) -> None:
    assert granted(pro.count(5, id="before")) == standing(5)
    granted(pro.change("pause", effective="now"))
    before = records.of(pro.name)
    for answer in (pro.count(1), pro.increment(1), pro.count(1, token=service(pro.client), subject=pro.name)):
        refusal(answer, 404)
    assert granted(pro.count(5, id="before")) == standing(5)
    assert records.of(pro.name) == before
    granted(pro.change("unpause"))
    assert granted(pro.count(1)) == standing(6)


def test_of_a_subscription_that_has_ended_nothing_is_used(pro: Customer, records: Records) -> None:
    granted(pro.count(5))
    granted(pro.change("cancel", effective="now"))
    before = records.of(pro.name)
    for answer in (pro.count(1), pro.increment(1)):
        refusal(answer, 404)
    assert records.of(pro.name) == before


def test_what_is_a_level_is_set_and_not_counted(pro: Customer, records: Records) -> None:
    pro.use("agents", 3)
    before = records.of(pro.name)
    for answer in (pro.count(1, meter="agents"), pro.increment(1, meter="agents")):
        refusal(answer, 422, "meter")
    # And the other way round.
    refusal(pro.call("PUT", "/usage/minutes", body={"value": 1}), 422, "meter")
    assert records.of(pro.name) == before


@pytest.mark.parametrize("meter", ["faxes", "minutes-pro", "analytics"])
def test_what_is_no_meter_is_not_there(pro: Customer, records: Records, meter: str) -> None:
    before = records.of(pro.name)
    refusal(pro.count(1, meter=meter), 404, "meter")
    refusal(pro.increment(1, meter=meter), 404)
    assert records.of(pro.name) == before


@pytest.mark.parametrize("meter", ["Minutes", "a%20b", "%2e%2e", "x" * 65, "USAGE%23minutes"])
def test_what_is_no_name_of_a_meter_leads_nowhere(pro: Customer, meter: str) -> None:
    refusal(pro.increment(1, meter=meter), 404)


def test_of_what_only_another_family_counts_the_plan_allows_nothing(pro: Customer, records: Records) -> None:
    before = records.of(pro.name)
    for answer in (pro.count(1, meter="whatsapp_messages"), pro.increment(1, meter="whatsapp_messages")):
        assert refusal(answer, 403, "value")["limit"] == 0
    assert records.of(pro.name) == before


def test_another_familys_counter_is_counted_by_its_own_plan(customer: Customer) -> None:
    crm = {"plan": "crm-professional", "interval": "month", "currency": "GEL", "quantity": 2}
    granted(assign(customer, **crm, comp=PRO["comp"]), 201)
    answer = granted(customer.count(100, meter="whatsapp_messages"))
    assert (answer["meter"], answer["used"]) == ("whatsapp_messages", 100)
    assert answer["limit"] - answer["remaining"] == 100
    assert [it for it in customer.subscription()["usage"] if it["meter"] == "whatsapp_messages"] == [answer]
    refusal(customer.count(1, meter="storage_gb"), 422, "meter")


# -- What makes no sense

VALUES: list[Any] = [0, -1, 1.5, 2**53, 2**63, 2**64, float("nan"), float("inf"), "1", None, True, [1], {}]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_s32_what_is_no_amount_is_refused(pro: Customer, records: Records, value: Any) -> None:
    before = records.of(pro.name)
    by_service = {"token": service(pro.client), "subject": pro.name}
    for answer in (pro.count(value), pro.increment(value), pro.count(value, **by_service)):
        refusal(answer, 400, "value")
    assert records.of(pro.name) == before


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"meter": "Minutes"}, "meter"),
        ({"meter": ""}, "meter"),
        ({"meter": 5}, "meter"),
        ({"meter": None}, "meter"),
        ({"id": "a b"}, "id"),
        ({"id": "ä"}, "id"),
        ({"id": "a\u0000"}, "id"),
        ({"id": "a" * 256}, "id"),
        ({"id": 5}, "id"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026-01-01"}, "at"),
        ({"at": 1767225600}, "at"),
        ({"subject": "acme#SUB"}, "subject"),
        ({"subject": ""}, "subject"),
        ({"customer": "acme"}, "customer"),
        ({"amount": 5}, "amount"),
        ({"used": 0}, "used"),
    ],
)
def test_what_makes_no_sense_besides_is_refused(
    pro: Customer, records: Records, more: dict[str, Any], field: str
) -> None:
    before = records.of(pro.name)
    refusal(pro.count(1, **more), 400, field)
    (refused,) = granted(batch(pro, [row(1, "call") | more]))["records"]
    assert (refused["problem"]["status"], refused["problem"]["field"]) == (400, field)
    assert records.of(pro.name) == before


@pytest.mark.parametrize("name", ["meter", "value", "id"])
def test_what_is_missing_is_named(pro: Customer, name: str) -> None:
    record = row(1, "call")
    del record[name]
    refusal(pro.call("POST", "/usage", body=record), 400, name)
    refusal(pro.call("POST", "/usage/minutes/increment", body={}, headers={"idempotency-key": "k"}), 400, "value")


@pytest.mark.parametrize("name", ["meter", "value", "id"])
def test_s62_what_is_said_twice_is_refused(pro: Customer, records: Records, name: str) -> None:
    """Which of the two is meant would be anybody's guess."""
    before = records.of(pro.name)
    text = json.dumps(row(1, "call"))
    twice = text.replace("{", "{" + json.dumps({name: row(2, "other")[name]})[1:-1] + ",", 1)
    headers = {"content-type": "application/json"}
    refusal(pro.call("POST", "/usage", raw=twice.encode(), headers=headers), 400, name)
    answer = granted(pro.call("POST", "/usage", raw=f'{{"records":[{twice}]}}'.encode(), headers=headers))
    (refused,) = answer["records"]
    assert (refused["problem"]["status"], refused["problem"]["field"]) == (400, name)
    assert records.of(pro.name) == before


@pytest.mark.parametrize("key", [None, "", "with space", "a" * 256, "staff:k", "service:k"])
def test_s36_s37_an_increments_key_is_needed_and_has_a_form(pro: Customer, records: Records, key: str | None) -> None:
    before = records.of(pro.name)
    headers = {} if key is None else {"idempotency-key": key}
    for names, token in (({}, pro.token), ({"subject": pro.name}, service(pro.client))):
        body = {"value": 1} | names
        answer = pro.call("POST", "/usage/minutes/increment", body=body, headers=headers, token=token)
        refusal(answer, 400, "Idempotency-Key")
    assert records.of(pro.name) == before


def test_the_longest_id_is_good_in_any_spelling(pro: Customer) -> None:
    for n, id in enumerate(("a" * 255, "call/2026#1?x=%20&y", '"\\', "CUST#acme"), start=1):
        assert granted(pro.count(1, id=id)) == granted(pro.count(1, id=id)) == standing(n)
        assert granted(pro.increment(1, key=id)) == standing(n)


def test_s38_a_card_number_is_no_id_and_is_kept_nowhere(client: Client, pro: Customer, records: Records) -> None:
    before = records.all()
    spaced = " ".join(CARD[n : n + 4] for n in range(0, len(CARD), 4))
    for record in (row(1, CARD), row(1, "call", note=[spaced]), row(1, f"call-{CARD}"), row(int(CARD), "call")):
        (refused,) = granted(batch(pro, [record]))["records"]
        assert refused["id"] is None and CARD not in json.dumps(refused)
        for problem in (refusal(pro.call("POST", "/usage", body=record), 400), refused["problem"]):
            assert problem["status"] == 400 and "card number" in problem["detail"] and CARD not in json.dumps(problem)
    refusal(pro.increment(int(CARD)), 400)
    assert records.all() == before
    assert not any(CARD in line for line in client.logs())


# -- Many at once


def test_five_hundred_are_answered_each_by_itself_and_in_order(pro: Customer, records: Records) -> None:
    rows = [row(2, f"call-{n}") for n in range(500)]
    rows[250] = row(0, "call-250")
    answer = granted(batch(pro, rows))
    assert answer["counts"] == {"counted": 499, "refused": 1}
    assert [it["id"] for it in answer["records"]] == [f"call-{n}" for n in range(500)]
    refused = answer["records"].pop(250)
    assert refused.keys() == {"id", "outcome", "problem"}
    assert (refused["outcome"], refused["problem"]["status"], refused["problem"]["field"]) == ("refused", 400, "value")
    expected = [{"outcome": "counted", "usage": standing(2 * n)} for n in range(1, 500)]
    assert [{name: it[name] for name in ("outcome", "usage")} for it in answer["records"]] == expected
    assert (shown(pro), counts(pro, records)) == (998, 499)
    # What was not counted is told again, with what was.
    rows[250] = row(2, "call-250")
    answer = granted(batch(pro, rows))
    assert (answer["counts"], shown(pro)) == ({"counted": 500, "refused": 0}, 1000)


def test_one_that_is_refused_is_named_by_its_field_and_its_neighbours_are_counted(pro: Customer) -> None:
    granted(pro.count(1, id="known"))
    told: list[tuple[Row, int | tuple[int, str | None]]] = [
        (row(2000, "a"), 2001),
        (row(1000, "b"), (403, "value")),
        (row(999, "c"), 3000),
        (row(999, "c"), 3000),  # the same twice is counted once
        (row(1, "c"), (409, "id")),
        (row(1, "known"), 3000),
        (row(1, "d", meter="faxes"), (404, "meter")),
        (row(1, "e", meter="agents"), (422, "meter")),
        (row(1, "f", at="9999-12-30T00:00:00Z"), (422, "at")),
        (row(1.5, "g"), (400, "value")),
        (row(1, "h", plan="x"), (400, "plan")),
    ]
    answer = granted(batch(pro, [record for record, _ in told]))
    assert answer["counts"] == {"counted": 4, "refused": 7}
    for (record, expected), found in zip(told, answer["records"], strict=True):
        assert found["id"] == record["id"]
        if isinstance(expected, int):
            assert (found["outcome"], found["usage"]) == ("counted", standing(expected)), record
        else:
            problem = found["problem"]
            assert (found["outcome"], problem["status"], problem.get("field")) == ("refused", *expected), record
    limit = answer["records"][1]["problem"]
    assert (limit["used"], limit["limit"], limit["remaining"]) == (2001, 3000, 999)
    assert shown(pro) == 3000


@pytest.mark.parametrize("one", [None, 5, "a", [], [[]]], ids=str)
def test_what_is_no_record_is_refused_where_it_stands(pro: Customer, one: Any) -> None:
    answer = granted(batch(pro, [row(1, "a"), one, row(1, "b")]))
    assert [it["outcome"] for it in answer["records"]] == ["counted", "refused", "counted"]
    assert answer["records"][1]["id"] is None
    assert answer["records"][1]["problem"]["status"] == 400
    assert shown(pro) == 2


@pytest.mark.parametrize("rows", [[], [row(1, f"call-{n}") for n in range(501)]], ids=["none", "501"])
def test_a_batch_is_of_one_to_five_hundred(pro: Customer, records: Records, rows: list[Row]) -> None:
    before = records.of(pro.name)
    refusal(batch(pro, rows), 422, "records")
    assert records.of(pro.name) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"records": None}, "records"),
        ({"records": {}}, "records"),
        ({"records": 5}, "records"),
        ({"records": [row(1, "a")], "meter": "minutes"}, "meter"),
        ({"records": [row(1, "a")], "subject": "acme"}, "subject"),
        ([row(1, "a")], None),
    ],
    ids=str,
)
def test_what_is_no_batch_is_refused_whole(pro: Customer, records: Records, body: Any, field: str | None) -> None:
    before = records.of(pro.name)
    problem = refusal(pro.call("POST", "/usage", body=body), 400, field)
    assert field or "field" not in problem or problem["field"]
    assert records.of(pro.name) == before


def test_s61_a_quarter_of_a_megabyte_is_read_and_no_more(pro: Customer, records: Records) -> None:
    text = json.dumps({"records": [row(1, f"{n}-".ljust(255, "x")) for n in range(500)]})
    headers = {"content-type": "application/json"}
    fits = text[:-1].ljust(256 * 1024 - 1) + "}"
    before = records.of(pro.name)
    refusal(pro.call("POST", "/usage", raw=fits.replace("}", " }", 1).encode(), headers=headers), 413)
    assert records.of(pro.name) == before
    assert granted(pro.call("POST", "/usage", raw=fits.encode(), headers=headers))["counts"]["counted"] == 500


# -- Whose it is


def test_s17_what_one_uses_is_ones_own(pro: Customer, other: Customer, records: Records) -> None:
    gift(other)
    assert granted(pro.count(1, id="same")) == standing(1)
    assert granted(other.count(20, id="same")) == standing(20)
    assert granted(other.increment(20, key="same")) == standing(20)
    assert (shown(pro), shown(other)) == (1, 20)
    before = records.all()
    # To name another is to be a service; one's own name is no exception, nor is one that nobody has.
    for ask in (pro.count, pro.increment):
        answers = [ask(1, subject=name) for name in (other.name, pro.name, "nobody")]
        assert "billing:usage" in refusal(answers[0], 403)["detail"]
        assert len({str(substance(answer)) for answer in answers}) == 1
    # And of a batch with one such row nothing is counted.
    refusal(batch(pro, [row(1, "mine"), row(1, "theirs", subject=other.name)]), 403)
    assert records.all() == before
    for path in (f"/usage?subject={other.name}", f"/usage?customer={other.name}&sub={other.name}"):
        assert granted(pro.call("POST", path, body=row(1, "query")))["used"] == 2
    assert shown(other) == 20


def test_a_service_reports_for_any_customer_and_may_do_nothing_else(pro: Customer, issuer: Issuer) -> None:
    named = {"subject": pro.name}
    assert granted(pro.count(30, id="night", token=service(pro.client), **named)) == standing(30)
    assert granted(pro.increment(30, key="night", token=service(pro.client), **named)) == standing(30)
    assert granted(pro.increment(1, token=service(pro.client), **named)) == standing(31)
    # Whoever tells it, a use is the customer's.
    assert granted(pro.count(30, id="night")) == standing(31)
    agents = {"value": 3, **named}
    assert granted(pro.call("PUT", "/usage/agents", token=service(pro.client), body=agents))["used"] == 3
    refusal(pro.call("PUT", "/usage/agents", body={"value": 1, "subject": "somebody"}), 403)
    for answer in (pro.count(1, token=service(pro.client)), pro.increment(1, token=service(pro.client))):
        refusal(answer, 403)  # of its own it has none
    for method, path in (("PUT", "/usage/agents"), ("GET", "/subscription"), ("GET", "/entitlements/minutes")):
        refusal(pro.call(method, path, token=service(pro.client), body={"value": 1}), 403)
    for scope in ("billing:read", "billing:read billing:write", "billing:read billing:write billing:admin"):
        token = issuer.mint("service", scope)
        for answer in (pro.count(1, token=token, **named), pro.increment(1, token=token, **named)):
            refusal(answer, 403)
        refusal(batch(pro, [row(1, "one", **named)], token=token), 403)
    assert shown(pro) == 31


def test_a_batch_of_a_service_is_of_many_customers_each_within_their_own_limit(
    client: Client, newcomer: Callable[[], Customer]
) -> None:
    first, second, third = gift(newcomer()), gift(newcomer(), used=2950), newcomer()
    rows = [row(10, f"call-{n}", subject=of.name) for n in range(10) for of in (first, second, third)]
    rows.insert(7, row(1, "whose"))
    answer = granted(batch(first, rows, token=service(client)))
    assert [it["id"] for it in answer["records"]] == [it["id"] for it in rows]
    assert answer["counts"] == {"counted": 15, "refused": 16}
    whose = answer["records"].pop(7)["problem"]
    assert (whose["status"], whose["field"]) == (400, "subject")
    outcomes = {of: answer["records"][n::3] for n, of in enumerate((first, second, third))}
    assert [it["usage"] for it in outcomes[first]] == [standing(10 * n) for n in range(1, 11)]
    assert [it["usage"] for it in outcomes[second][:5]] == [standing(2950 + 10 * n) for n in range(1, 6)]
    assert [(it["problem"]["status"], it["problem"]["used"]) for it in outcomes[second][5:]] == [(403, 3000)] * 5
    assert [it["problem"]["status"] for it in outcomes[third]] == [404] * 10
    assert (shown(first), shown(second)) == (100, 3000)


def test_what_a_service_says_wrongly_is_answered_row_by_row_too(pro: Customer) -> None:
    """Even where no row is right, which leaves nobody to be named."""
    rows = [row(0, "a", subject=pro.name), row(1, "b b", subject=pro.name)]
    answer = granted(batch(pro, rows, token=service(pro.client)))
    assert [it["problem"]["field"] for it in answer["records"]] == ["value", "id"]


def test_who_may_report_both_counts_none_of_a_batch_as_their_own_in_which_another_is_named(
    pro: Customer, other: Customer, issuer: Issuer
) -> None:
    both = issuer.mint(pro.name, "billing:write billing:usage")
    for named in (row(1, "a", subject=gift(other).name), row(0, "b", subject=other.name)):
        answer = granted(batch(pro, [named, row(1, "unnamed")], token=both))
        assert (answer["records"][1]["outcome"], shown(pro)) == ("refused", 0)
        assert answer["records"][1]["problem"]["field"] == "subject"


# -- At once


def test_s33_of_a_hundred_at_once_as_many_are_counted_as_there_are_left(customer: Customer, records: Records) -> None:
    gift(customer, used=2950)
    with ThreadPoolExecutor(100) as crowd:
        answers = list(crowd.map(lambda n: patiently(lambda: customer.increment(1, key=f"call-{n}")), range(100)))
    assert statuses(answers) == {200: 50, 403: 50}
    for answer in answers:
        if answer.status == 403:
            reached(answer, 3000)
    assert (shown(customer), counts(customer, records)) == (3000, 51)  # one made it 2950


def test_s34_fifty_at_once_with_one_id_are_counted_once(pro: Customer, records: Records) -> None:
    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(lambda n: patiently(lambda: (pro.count if n % 2 else pro.increment)(7, **one_id(n))), range(50)))
    assert {answer.body for answer in answers} == {pro.count(7, id="crowd").body}
    assert granted(answers[0]) == standing(7)
    assert (shown(pro), counts(pro, records)) == (7, 1)


def one_id(n: int) -> dict[str, str]:
    return {"id" if n % 2 else "key": "crowd"}


def test_fifty_at_once_with_one_id_for_different_things_have_one_of_them(pro: Customer, records: Records) -> None:
    with ThreadPoolExecutor(50) as crowd:
        answers = list(crowd.map(lambda n: patiently(lambda: pro.count(n, id="crowd")), range(1, 51)))
    assert statuses(answers) == {200: 1, 409: 49}
    assert [granted(answer)["used"] for answer in answers if answer.status == 200] == [shown(pro)]
    assert counts(pro, records) == 1


def test_a_thousand_calls_count_what_is_left_and_no_more(customer: Customer, records: Records) -> None:
    gift(customer, used=2300)
    ids = [f"call-{n}" for n in range(900)] + [f"call-{n}" for n in range(100)]
    random.Random(24).shuffle(ids)
    with ThreadPoolExecutor(32) as crowd:
        answers = dict(zip(range(1000), crowd.map(lambda id: patiently(lambda: customer.count(1, id=id)), ids), strict=True))
    assert set(statuses(list(answers.values()))) == {200, 403}
    for answer in answers.values():
        if answer.status == 403:
            reached(answer, 3000)
        else:
            assert 2300 < answer.json()["used"] <= 3000
    # Each of them once, however often its id came.
    assert len({ids[n] for n, answer in answers.items() if answer.status == 200}) == 700
    assert (shown(customer), counts(customer, records)) == (3000, 701)


def test_a_thousand_calls_under_a_hundred_ids_count_each_id_once_and_as_one_thing(pro: Customer, records: Records) -> None:
    """Whichever of an id's calls is first, those that say the same are told so, and those that say another thing are refused."""
    # Of each id's ten calls, told by either route, seven say one value and three another.
    told = [(f"call-{id}", value) for id in range(100) for value in [id % 7 + 1] * 7 + [id % 7 + 9] * 3]
    random.Random(27).shuffle(told)

    def tell(n: int) -> Response:
        id, value = told[n]
        return patiently(lambda: pro.count(value, id=id) if n % 2 else pro.increment(value, key=id))

    with ThreadPoolExecutor(32) as crowd:
        answers = list(crowd.map(tell, range(1000)))
    counted: dict[str, set[int]] = {}
    refused: dict[str, set[int]] = {}
    for (id, value), answer in zip(told, answers, strict=True):
        if answer.status == 200:
            counted.setdefault(id, set()).add(value)
        else:
            assert refusal(answer, 409, "id")["type"].endswith("/usage-id-reused")
            refused.setdefault(id, set()).add(value)
    assert len(counted) == len(refused) == 100
    assert all(len(values) == 1 for values in (*counted.values(), *refused.values()))
    assert all(counted[id].isdisjoint(refused[id]) for id in counted)
    assert statuses(answers).keys() == {200, 409}
    assert shown(pro) == sum(value for values in counted.values() for value in values)
    stored = {item["id"]["S"]: {int(item["value"]["N"])} for item in records.of(pro.name, "COUNT#")}
    assert stored == counted


def test_batches_that_tell_the_same_at_once_count_it_once(pro: Customer, records: Records) -> None:
    rows = [row(1, f"call-{n}") for n in range(200)]

    def tell(n: int) -> int:
        shuffled = random.Random(n).sample(rows, len(rows))
        for _ in range(20):
            answer = batch(pro, shuffled)
            if answer.status != 503:
                return granted(answer)["counts"]["counted"]
            refusal(answer, 503)  # the same again is what helps
        raise AssertionError("never counted")

    with ThreadPoolExecutor(6) as crowd:
        assert list(crowd.map(tell, range(6))) == [200] * 6
    assert (shown(pro), counts(pro, records)) == (200, 200)


def test_what_is_counted_while_periods_begin_is_in_one_of_them(client: Client, pro: Customer, records: Records) -> None:
    with ThreadPoolExecutor(9) as crowd:
        renewed = crowd.submit(client.walked, customer=pro.name, by="P3M1D")
        answers = list(crowd.map(lambda n: patiently(lambda: pro.increment(1, key=f"call-{n}")), range(200)))
        renewed.result()
    assert statuses(answers) == {200: 200}
    assert counts(pro, records) == 200
    periods = Counter(item["period"]["S"].rpartition("-")[2] for item in records.of(pro.name, "COUNT#"))
    assert set(periods) <= {"0", "1", "2", "3"}
    assert shown(pro) == periods["3"]


# -- Day by day


def recounted(customer: Customer, records: Records) -> dict[str, int]:
    """By day in UTC, from the record of each use."""
    days: dict[str, int] = {}
    for use in records.of(customer.name, "COUNT#"):
        day = (use.get("at") or use["counted_at"])["S"][:10]
        days[day] = days.get(day, 0) + int(use["value"]["N"])
    return days


def test_days_are_what_their_records_say_however_many_report_at_once(pro: Customer, records: Records) -> None:
    late = (datetime.fromisoformat(pro.subscription()["current_period"]["start"]) - timedelta(days=3)).isoformat()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: patiently(lambda: pro.count(n % 7 + 1, id=f"call-{n % 60}")), range(100)))
    assert statuses(answers).keys() <= {200, 409}
    granted(pro.count(40, id="late", at=late))
    found = granted(pro.call("GET", "/usage/statistics"))
    (minutes,) = found["meters"]
    shown_by_day = {day["date"]: day["used"] for day in minutes["by_day"] if day["used"]}
    assert (shown_by_day, len(minutes["by_day"])) == (recounted(pro, records), 30)
    assert (minutes["meter"], minutes["today"]) == ("minutes", shown_by_day[found["date"]])
    assert sum(shown_by_day.values()) == shown(pro)
    assert (minutes["unusual"], found["tokens"]) == (False, None)


def test_who_never_subscribed_has_no_statistics(customer: Customer) -> None:
    refusal(customer.call("GET", "/usage/statistics"), 404)
