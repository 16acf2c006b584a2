"""Tells what Perennial is for, on a running local stack: a line a step, each checked before it is told.

    make story          (make run tells it too)

Each telling has customers of its own, so it can be told again at any time. Business time moves with it (POST
/test-clock/advance); tokens and webhook signatures go by the world's.
"""

import argparse
import json
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client import Client, wait_for
from customer import GOOD_CARDS, PATIENCE, Customer, Failed, Gateways, granted, pay
from progress import say

PLAN = "estates-professional"
LOWER = "estates-starter"
PREPAID = "tokens-basic"
# The longest one: a period that began on the 31st is over too, also after a short February.
MONTH = "P31D"
# In which all are woken who are due by then, be they thousands: our customer is among them.
A_WHILE = 300.0
# As many decimals as the currency has, where that is not two.
DECIMALS = {"JPY": 0, "KRW": 0, "XOF": 0, "BHD": 3, "KWD": 3, "TND": 3}


class Story:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.gateways = Gateways(client)
        self.customer = Customer.fresh(client, "story")
        self.steps = 0

    def tell(self) -> None:
        self.subscribe()
        self.weigh_a_downgrade()
        self.renew()
        self.decline_and_retry()
        self.lose_a_webhook()
        self.consume()

    # -- The chapters

    def subscribe(self) -> None:
        payment = self.customer.checkout(plan=PLAN)
        check("the payment", payment, status="pending", amount={"minor": 700000, "currency": "NGN"})
        address = payment["checkout_url"]
        self.told(f"subscribe to {PLAN} through Paystack: {named(payment)} pending → {address}")

        self.told(f"pay there with the card {spaced(GOOD_CARDS['paystack'])}")
        began = time.monotonic()
        pay(self.client, payment)
        found = self.customer.becomes("active", A_WHILE)
        after = f"{time.monotonic() - began:.1f} s"
        check("the subscription", found["plan"], id=PLAN)
        check("the payment", self.customer.payment(payment["id"]), status="succeeded")
        told = self.delivered(payment)
        self.told(f"the webhook {told} arrives after {after} → {found['id']} active until {found['end_date']}")

    def weigh_a_downgrade(self) -> None:
        self.customer.use("estates", 26)
        answer = self.customer.downgrade(LOWER)
        exceeds = [{"resource": "estates", "current": 26, "limit": 25, "overage": 1}]
        check("the downgrade with 26 estates", answer, can_downgrade=False, exceeds=exceeds)
        self.told(f"26 estates in use → downgrade to {LOWER} blocked: 25 are its limit, overage 1")
        for line in answer["steps"]:
            say(f"        {line}")
        self.customer.use("estates", 25)
        check("the downgrade with 25 estates", self.customer.downgrade(LOWER), can_downgrade=True, exceeds=[])
        self.told(f"25 estates in use → downgrade to {LOWER} allowed")

    def renew(self) -> None:
        before = self.customer.subscription()["current_period"]
        now = self.client.advance(MONTH)
        woken = self.client.sweep()["woken"]
        what = "the renewal"
        found = self.customer.until(lambda it: it["current_period"]["start"] == before["end"], what, A_WHILE)
        payment = self.customer.payments()[0]
        check("the renewal's payment", payment, status="succeeded", method="saved")
        self.charged_once(payment)
        self.told(
            f"a month passes ({day(now)}): the sweeper queues {counted(woken, 'due record')}, the worker charges the "
            f"saved card → {named(payment)} succeeded, active until {found['end_date']}"
        )

    def decline_and_retry(self) -> None:
        # For whoever is due, since others than our customer may be; taken back before anything is retried.
        self.gateways.fault("paystack", "off_session", "decline", code="insufficient_funds", times=10_000)
        now = self.client.advance(MONTH)
        self.client.sweep()
        found = self.customer.becomes("past_due", A_WHILE)
        self.gateways.no_faults()
        declined = self.customer.payments()[0]
        check("the declined payment", declined, status="failed")
        check("the dunning", found["dunning"], attempts=1, grace_ends_at=None)
        again = found["dunning"]["next_retry_at"]
        self.told(
            f"next month ({day(now)}) the card is declined: {named(declined)} failed "
            f"(code {declined['decline']['code']}) → past due, next try {moment(again)}"
        )

        now = self.client.advance("P1D")
        self.client.sweep()
        found = self.customer.becomes("active", A_WHILE)
        payment = self.customer.payments()[0]
        check("the retry's payment", payment, status="succeeded", method="saved")
        check("the subscription", found, dunning=None)
        if payment["id"] == declined["id"] or payment["reference"] == declined["reference"]:
            raise Failed(f"the retry is the declined payment {payment['id']} again")
        self.charged_once(payment)
        self.told(f"a day passes ({day(now)}) → retry: {named(payment)} succeeded, active until {found['end_date']}")

    def lose_a_webhook(self) -> None:
        self.customer = Customer.fresh(self.client, "story")
        payment = self.customer.checkout(plan=PLAN)
        self.gateways.webhooks("paystack", "lose")
        pay(self.client, payment)
        wait_for(lambda: self.deliveries(payment), PATIENCE, "Paystack's webhook", pause=0.05)
        check("the webhook", self.deliveries(payment)[0], fate="lost")
        check("the subscription", self.customer.subscription(), status="incomplete")
        self.gateways.webhooks("paystack", "deliver")
        self.told(f"{self.customer.name} pays {named(payment)}, and the webhook is lost → still incomplete")

        self.client.advance("PT5M")
        self.client.sweep()
        found = self.customer.becomes("active", A_WHILE)
        check("the payment", self.customer.payment(payment["id"]), status="succeeded")
        self.charged_once(payment)
        self.told(
            f"five minutes pass without an answer → Paystack is asked about {payment['reference']}: paid → {found['id']} "
            f"active until {found['end_date']}"
        )

    def consume(self) -> None:
        self.customer = Customer.fresh(self.client, "story")
        payment = self.customer.subscribe(plan=PREPAID, interval="30_days", currency="USD", gateway="stripe")
        check("the tokens", self.customer.subscription()["tokens"], balance=1000, included=1000)
        self.told(f"{self.customer.name} pays {named(payment)} for {PREPAID}: 1000 tokens for 30 days")

        key = secrets.token_hex(12)
        answers = [granted(self.customer.consume(25, key=key, description="A report")) for _ in range(2)]
        check("the consumption", answers[0], balance=975)
        check("the same request again", answers[1], **answers[0])
        check("the tokens", self.customer.subscription()["tokens"], balance=975)
        self.told("a report takes 25 tokens, and is sent twice under one key: 975 are left")

    # -- What the gateway knows

    def deliveries(self, payment: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self.gateways.books(reference=payment["reference"])["deliveries"]

    def delivered(self, payment: Mapping[str, Any]) -> str:
        """The name of the webhook that brought the news. It was answered, or is about to be: the news was faster."""

        def look() -> list[str]:
            return [told["event"] for told in self.deliveries(payment) if told["fate"] == "acknowledged"]

        return wait_for(look, PATIENCE, "the webhook to be acknowledged", pause=0.05)[0]

    def charged_once(self, payment: Mapping[str, Any]) -> None:
        taken = [charge["amount"] for charge in self.gateways.taken(payment["reference"])]
        if taken != [payment["amount"]]:
            raise Failed(f"by Paystack's books {payment['id']} was charged {json.dumps(taken)}")

    # -- Telling

    def told(self, line: str) -> None:
        self.steps += 1
        say(f"  {self.steps:2}  {line}")


def check(what: str, found: Mapping[str, Any], **expected: Any) -> None:
    for name, value in expected.items():
        if found.get(name) != value:
            raise Failed(f"{what}: {name} is {json.dumps(found.get(name))}, and not {json.dumps(value)}")


def named(payment: Mapping[str, Any]) -> str:
    return f"{payment['id']} {money(payment['amount'])}"


def money(amount: Mapping[str, Any]) -> str:
    """`NGN 7000.00`"""
    decimals = DECIMALS.get(amount["currency"], 2)
    digits = str(amount["minor"]).rjust(decimals + 1, "0")
    whole, fraction = (digits[:-decimals], f".{digits[-decimals:]}") if decimals else (digits, "")
    return f"{amount['currency']} {whole}{fraction}"


def counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def spaced(card: str) -> str:
    return " ".join(card[place : place + 4] for place in range(0, len(card), 4))


def day(time: str) -> str:
    return time[:10]


def moment(time: str) -> str:
    return f"{time[:10]} {time[11:16]}"


# -- Trying it oneself


def invitation(client: Client) -> str:
    """The same steps as commands: pasted as they are, in this order, they do what the story told."""
    lines = "\n".join(f"  {line}" if line else "" for line in commands(client).splitlines())
    return f"\nTry it yourself, from the project's folder:\n\n{lines}"


def commands(client: Client) -> str:
    # Someone new, so that these can be pasted after any story.
    you = f"you-{secrets.token_hex(2)}"
    order = compact(plan=PLAN, interval="month", currency="NGN", quantity=1, gateway="paystack")
    decline = compact(
        gateway="paystack", on="off_session", fault={"kind": "decline", "code": "insufficient_funds"}, times=100
    )
    sweeper = f"{client.endpoint}/2015-03-31/functions/{client.outputs['SweeperFunction']}/invocations"
    return f"""\
API={client.api}
GATEWAYS={client.simulator}
TOKEN=$(make -s token WHO={you})
as_you() {{ curl -s -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' "$@"; echo; }}
as_admin() {{ curl -s -H "authorization: Bearer $(make -s token WHO=admin)" -H 'content-type: application/json' "$@"; echo; }}
gateways() {{ curl -s -H 'content-type: application/json' "$@"; echo; }}
# What the schedule does every minute, now.
sweep() {{ curl -s --aws-sigv4 aws:amz:us-east-1:lambda --user test:test -d '{{}}' {sweeper}; echo; sleep 1; }}

# Plans need no token.
curl -s $API/plans; echo; curl -s "$API/plans/comparison?family=minutes"; echo

# Order, and pay: in a browser at $PAGE, or like this.
ORDER=$(as_you $API/payments -H "idempotency-key: $RANDOM-$RANDOM" -d '{order}'); echo "$ORDER"
PAGE=$(echo "$ORDER" | sed -E 's/.*"checkout_url":"([^"]+)".*/\\1/')
curl -s -o /dev/null -d action=pay -d card={GOOD_CARDS["paystack"]} $PAGE; sleep 1
as_you $API/subscription

# How much is in use, and whether a smaller plan would do.
as_you -X PUT $API/usage/estates -d '{{"value":26}}'
as_you $API/subscription/validate-downgrade -d '{{"plan":"{LOWER}"}}'

# A month passes: renewed.
as_admin $API/test-clock/advance -d '{{"by":"{MONTH}"}}'; sweep; as_you $API/payments

# Next month the card is declined: past due.
gateways $GATEWAYS/admin/faults -d '{decline}'
as_admin $API/test-clock/advance -d '{{"by":"{MONTH}"}}'; sweep; as_you $API/subscription

# A day later it works again: active.
gateways -X DELETE $GATEWAYS/admin/faults
as_admin $API/test-clock/advance -d '{{"by":"P1D"}}'; sweep; as_you $API/subscription

# What the gateways say happened. Webhooks can be lost, held, or sent twice: tests/gateway-simulator/README.md
gateways "$GATEWAYS/admin/books?customer=billing@{you}.example"
"""


def compact(**fields: Any) -> str:
    return json.dumps(fields, separators=(",", ":"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Tell the story on a running local stack")
    parser.add_argument("--folder", type=Path, required=True, help="the stack's folder (.local)")
    client = Client(parser.parse_args().folder)
    story = Story(client)
    began = time.monotonic()
    say(f"The story of {story.customer.name}")
    try:
        story.tell()
    except (Failed, TimeoutError, OSError, RuntimeError) as failure:
        print(f"  ✗   {failure}", file=sys.stderr)
        return 1
    finally:
        story.gateways.calm()
    say(f"All as told, in {time.monotonic() - began:.1f} s.")
    say(invitation(client))
    return 0


if __name__ == "__main__":
    sys.exit(main())
