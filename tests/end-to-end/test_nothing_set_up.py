"""No gateway's keys, no plans, no mails, no test clock: the stack starts all the same, and says what is missing."""

import base64

import aws
import catalogue
import pytest
import signing
from answers import refusal
from client import Client
from customer import Customer, granted
from issuer import AUDIENCE
from records import Records
from stack import ROOT, Stack


@pytest.fixture(scope="module")
def client(bare: Stack) -> Client:
    return bare.client()


@pytest.fixture
def customer(client: Client) -> Customer:
    return Customer.fresh(client)


def test_health_says_that_no_gateway_is_configured(client: Client) -> None:
    health = granted(client.call("GET", "/health"))
    assert health["status"] == "ok"
    assert health["gateways"] == {name: {"configured": False} for name in ("stripe", "paystack", "flitt", "paypal")}


def test_without_a_catalogue_there_is_nothing_to_buy(client: Client, customer: Customer) -> None:
    assert granted(client.call("GET", "/plans")) == {"plans": []}
    assert granted(client.call("GET", "/plans?group_by=pricing_model")) == {"groups": {}}
    refusal(client.call("GET", "/plans/estates-starter"), 404)
    refusal(client.call("GET", "/plans/comparison?family=estates"), 404)
    problem = refusal(customer.order(), 422, "plan")
    assert "estates-professional" in problem["detail"]
    refusal(customer.call("PUT", "/usage/estates", body={"value": 1}), 404)
    refusal(customer.call("GET", "/subscription"), 404)
    refusal(customer.consume(1), 404)
    refusal(customer.count(1), 404)
    assert customer.payments() == []


def test_a_catalogue_with_mistakes_is_refused_whole_and_each_is_named(client: Client) -> None:
    document = catalogue.read(ROOT / "catalogue" / "estates.json")
    document["plans"][0]["tier"] = 0
    document["plans"][1]["limits"]["unheard-of"] = 1
    problems = client.invoke("LoadCatalogueFunction", document)["problems"]
    named = [(problem["plan"], problem["field"]) for problem in problems]
    assert named == [("estates-starter", "tier"), ("estates-professional", "limits")]
    assert "unheard-of" in problems[1]["problem"]
    assert granted(client.call("GET", "/plans")) == {"plans": []}


@pytest.mark.parametrize("gateway", ["paystack", "stripe", "flitt", "paypal"])
def test_without_keys_an_order_says_that_the_gateway_is_not_configured(
    bare: Stack, client: Client, customer: Customer, gateway: str
) -> None:
    bare.load_catalogue()
    dollars = {"plan": "minutes-pro", "currency": "USD"}
    lari = {"plan": "crm-professional", "currency": "GEL"}
    wanted = {"paystack": {}, "stripe": dollars, "flitt": lari, "paypal": dollars}[gateway]
    before = Records(client).all()
    problem = refusal(customer.order(gateway=gateway, **wanted), 422, "gateway")
    assert problem["type"].endswith("/gateway-not-configured")
    assert gateway in problem["detail"].lower()
    assert Records(client).all() == before


@pytest.mark.parametrize("gateway", ["paystack", "stripe", "flitt", "paypal"])
def test_s42_without_keys_no_webhook_is_believed_and_the_gateway_is_to_come_back(client: Client, gateway: str) -> None:
    before = Records(client).all()
    body = signing.encode(signing.event_of("stripe"))
    signed = [sign(secret, body) for sign in (signing.stripe, signing.paystack) for secret in ("", "whsec_guess")]
    for headers in (*signed, {}):
        refusal(signing.post(client, gateway, body, headers), 503)
    assert Records(client).all() == before


def test_without_mails_no_link_leads_anywhere(client: Client) -> None:
    answer = client.call("GET", f"/pay/mail_{'a' * 24}.4102444800.{'A' * 43}")
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"This link is no longer valid" in answer.body


def test_entitlements_are_signed_at_once_by_a_key_that_nobody_had_to_make(client: Client, customer: Customer) -> None:
    (key,) = granted(client.call("GET", "/.well-known/jwks.json"))["keys"]
    token = granted(customer.call("GET", "/entitlements/token"))["token"]
    assert token.startswith(base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"entitlements+jwt"').decode().rstrip("="))
    assert key["crv"] == "Ed25519" and token.count(".") == 2


def test_routes_of_the_saas_are_called_with_the_tokens_of_the_api(client: Client) -> None:
    functions, name = aws.client("lambda", client.endpoint), client.outputs["EntitlementAuthorizerArn"]
    told = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    assert told["TOKEN_AUDIENCE"] == AUDIENCE


def test_the_sweeper_finds_nothing_to_do(client: Client) -> None:
    assert client.sweep() == {"woken": 0}


def test_where_time_cannot_be_moved_there_is_no_route_to_move_it(client: Client) -> None:
    for how in ("advance", "walk", "advance/", "walk/"):
        admin = client.stack["tokens"]["admin"]
        answer = client.call("POST", f"/test-clock/{how}", token=admin, body={"by": "P1M"})
        assert answer.status == 404
        assert answer.json() == {"message": "Not Found"}
