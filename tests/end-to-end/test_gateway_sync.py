"""Stripe's products and prices follow the plans, on a deployed stack: what differs is told, and put right when that is asked."""

import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from client import Client, request
from customer import granted
from stack import ROOT, Stack

Change = dict[str, Any]


class Dashboard:
    """What the merchant sees and does at Stripe itself."""

    def __init__(self, stack: Stack) -> None:
        self.api = f"{stack.simulator}/stripe/v1"
        key = stack.keys()["stripe"]["secret_key"]
        self.headers = {"authorization": f"Bearer {key}", "stripe-version": "2026-10-28.endive"}

    def product(self, plan: str) -> dict[str, Any]:
        return granted(request("GET", f"{self.api}/products/{plan}", headers=self.headers))

    def prices(self, **only: str) -> list[dict[str, Any]]:
        found = request("GET", f"{self.api}/prices?{urlencode({'limit': 100, **only})}", headers=self.headers)
        return granted(found)["data"]

    def by_key(self, key: str) -> dict[str, Any]:
        (found,) = self.prices(**{"lookup_keys[]": key})
        return found

    def change(self, path: str, **fields: str) -> None:
        headers = {**self.headers, "content-type": "application/x-www-form-urlencoded"}
        granted(request("POST", f"{self.api}/{path}", raw=urlencode(fields).encode(), headers=headers))


class Product:
    """A plan that no other test sells, and what is done with it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.family = f"sync-{secrets.token_hex(4)}"
        self.plan = f"{self.family}-basic"
        self.key = f"{self.plan}:usd:month"

    def publish(self, minor: int, *, name: str = "Basic", active: bool = True) -> None:
        price = {"interval": "month", "amount": {"minor": minor, "currency": "USD"}, "recurring": True}
        offer = {"id": self.plan, "name": name, "display_name": name, "description": "To begin with", "tier": 1}
        offer |= {"pricing_model": "flat", "prices": [price], "features": [], "limits": {}, "active": active}
        family = {"id": self.family, "name": "Sync", "meters": [], "features": []}
        answer = self.client.invoke("LoadCatalogueFunction", {"family": family, "plans": [offer]})
        assert "plans" in answer, answer

    def ask(self, **how: bool) -> list[Change]:
        """What is told of this plan: the product first."""
        answer = self.client.invoke("SyncGatewayFunction", {"gateway": "stripe", **how})
        return [change for change in answer["changes"] if change["plan"] == self.plan]

    def told(self, **how: bool) -> list[tuple[str, bool]]:
        return [(change["change"], change["applied"]) for change in self.ask(**how)]


@pytest.fixture
def dashboard(stack: Stack) -> Dashboard:
    return Dashboard(stack)


@pytest.fixture
def product(client: Client) -> Iterator[Product]:
    """On sale for 10 dollars a month, and withdrawn afterwards: the other tests know what is for sale."""
    product = Product(client)
    product.publish(1000)
    yield product
    product.publish(1000, active=False)


@pytest.fixture
def command(stack: Stack) -> Callable[..., subprocess.CompletedProcess[str]]:
    """make gateway-drift and make gateway-sync, for this stack."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, ROOT / "local" / "gateway_sync.py", "--local", stack.folder, *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=120)

    return run


IN_SYNC = [("in_sync", False), ("in_sync", False)]


def test_a_plan_on_sale_becomes_a_product_with_a_price(product: Product, dashboard: Dashboard) -> None:
    assert product.told() == [("create_product", False), ("create_price", False)]
    assert product.told() == [("create_product", False), ("create_price", False)], "a report changes nothing"
    assert product.told(apply=True) == [("create_product", True), ("create_price", True)]
    assert product.told() == product.told(apply=True) == IN_SYNC
    made, price = dashboard.product(product.plan), dashboard.by_key(product.key)
    assert (made["name"], made["active"], made["metadata"]) == ("Basic", True, {"plan": product.plan, "version": "1"})
    assert (price["unit_amount"], price["currency"], price["product"]) == (1000, "usd", product.plan)
    assert (price["recurring"]["interval"], price["recurring"]["interval_count"]) == ("month", 1)


def test_a_new_amount_moves_the_key_to_a_new_price_and_archives_the_old(product: Product, dashboard: Dashboard) -> None:
    product.ask(apply=True)
    old = dashboard.by_key(product.key)
    product.publish(1200)
    (_, change) = product.ask()
    assert (change["change"], change["price"]) == ("replace_price", product.key)
    assert (change["from"]["amount"], change["to"]["amount"]) == ("USD 10.00 a month", "USD 12.00 a month")
    assert product.told(apply=True) == [("update_product", True), ("replace_price", True)]
    assert product.told() == IN_SYNC
    assert dashboard.by_key(product.key)["unit_amount"] == 1200
    prices = {price["id"]: price for price in dashboard.prices(product=product.plan)}
    assert len(prices) == 2
    assert (prices[old["id"]]["active"], prices[old["id"]]["lookup_key"]) == (False, None)


def test_what_was_edited_by_hand_is_told_and_left_until_it_is_forced(product: Product, dashboard: Dashboard) -> None:
    product.ask(apply=True)
    price = dashboard.by_key(product.key)
    dashboard.change(f"products/{product.plan}", name="Special")
    dashboard.change(f"prices/{price['id']}", active="false")
    for how in ({}, {"apply": True}):
        edited, archived = product.ask(**how)
        assert (edited["change"], edited["from"], edited["to"]) == ("drift", {"name": "Special"}, {"name": "Basic"})
        assert (archived["change"], archived["from"], archived["to"]) == (
            "drift",
            {"active": "false"},
            {"active": "true"},
        )
    assert dashboard.product(product.plan)["name"] == "Special"
    assert product.told(apply=True, force_update=True) == [("update_product", True), ("update_price", True)]
    assert product.told() == IN_SYNC
    assert dashboard.product(product.plan)["name"] == "Basic"
    assert dashboard.by_key(product.key)["active"] is True


def test_a_withdrawn_plan_is_no_longer_for_sale_at_stripe(product: Product, dashboard: Dashboard) -> None:
    product.ask(apply=True)
    product.publish(1000, active=False)
    assert product.told(apply=True) == [("archive_product", True)]
    assert product.told() == []
    assert dashboard.product(product.plan)["active"] is False


@pytest.mark.parametrize("gateway", ["paystack", "flitt", "paypal"])
def test_where_amounts_are_sent_with_each_payment_there_is_nothing_to_sync(client: Client, gateway: str) -> None:
    answer = client.invoke("SyncGatewayFunction", {"gateway": gateway, "apply": True})
    assert answer == {"problem": f"{gateway} has nothing to sync: amounts are sent with each payment"}


def test_without_keys_the_gateway_is_not_configured(bare: Stack) -> None:
    answer = bare.client().invoke("SyncGatewayFunction", {"gateway": "stripe", "apply": True})
    assert answer == {"problem": "stripe is not configured in this deployment"}


def test_the_commands_tell_what_differs_and_put_it_right(
    product: Product, dashboard: Dashboard, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    found = command("--drift")
    assert found.returncode == 1
    assert f"{product.key}  " in found.stdout and "Nothing was changed." in found.stdout
    assert dashboard.prices(product=product.plan) == []

    done = command()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{product.key}  " in done.stdout and "Stripe has what the plans say" in done.stdout
    clean = command("--drift")
    assert (clean.returncode, clean.stdout.count("\n")) == (0, 1), clean.stdout

    dashboard.change(f"products/{product.plan}", name="Special")
    assert "Special → Basic" in command("--drift").stdout
    kept = command()
    assert (kept.returncode, "FORCE=1" in kept.stdout) == (0, True), kept.stdout
    assert dashboard.product(product.plan)["name"] == "Special"
    assert command("--force-update").returncode == 0
    assert command("--drift").returncode == 0

    refused = command("--gateway", "paystack")
    assert (refused.returncode, refused.stderr) == (2, "paystack has nothing to sync: amounts are sent with each payment\n")


def test_a_command_that_cannot_be_understood_changes_nothing(client: Client) -> None:
    for payload in ({}, {"gateway": "stripe", "aply": True}, {"gateway": "visa"}, {"gateway": "stripe", "apply": "yes"}):
        with pytest.raises(Exception, match="SyncGateway"):
            client.invoke("SyncGatewayFunction", payload)
