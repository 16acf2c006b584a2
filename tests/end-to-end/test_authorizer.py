"""A SaaS of its own, in a stack beside ours, whose routes a plan opens and closes (PRODUCT 27).

API Gateway remembers an answer by token and route, so whoever looks twice here looks with a new token; what it does with the
same one has a test of its own.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aws
import pytest
from client import Client, Response, request, wait_for
from customer import Customer, granted
from issuer import ABSENT, AUDIENCE, ROUTE_AUDIENCE, Issuer, encode
from stack import ROOT, Stack
from test_administration import assign

FREE = {"percent": 100, "periods": None}
BASIC = {"plan": "crm-basic", "interval": "month", "comp": FREE}
PROFESSIONAL = {"plan": "crm-professional", "interval": "month", "quantity": 1, "comp": FREE}

CALLS, USERS = "POST /calls", "POST /users"


def mint(issuer: Issuer, name: str, **how: Any) -> str:
    """A token for the routes of the SaaS, which the API's are not for."""
    return issuer.mint(name, **{"aud": ROUTE_AUDIENCE} | how)


class Saas:
    """The sample's API, and its callers."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack, self.issuer = stack, stack.issuer
        self.id = aws.outputs(name, stack.endpoint)["ApiId"]
        self.api = f"{stack.endpoint}/_aws/execute-api/{self.id}"
        self.gateway = aws.client("apigatewayv2", stack.endpoint)

    def call(self, route: str, token: str | None = None, **how: Any) -> Response:
        method, path = route.split()
        return request(method, f"{self.api}{path}", token=token, **how)

    def opens(self, customer: Customer, route: str = CALLS) -> dict[str, Any] | None:
        """What the code behind the route is told of the customer, if it is called at all."""
        answer = self.call(route, self.token(customer))
        if answer.status == 403:
            assert answer.json() == {"message": "Forbidden"}
            return None
        told = granted(answer)
        assert told["route"] == route
        return told["billing"]

    def token(self, customer: Customer, **claims: Any) -> str:
        """One that nobody has seen before."""
        return mint(self.issuer, customer.name, **{"jti": secrets.token_hex(8)} | claims)

    def authorizer(self, name: str) -> dict[str, Any]:
        found = self.gateway.get_authorizers(ApiId=self.id)["Items"]
        return next(each for each in found if each["Name"] == name)

    @contextmanager
    def declaring(self, name: str, **settings: Any) -> Iterator[None]:
        """While an authorizer is declared otherwise."""
        before = self.authorizer(name)
        which = {"ApiId": self.id, "AuthorizerId": before["AuthorizerId"]}
        self.gateway.update_authorizer(**which, **settings)
        try:
            yield
        finally:
            self.gateway.update_authorizer(**which, **{key: before[key] for key in settings})


@pytest.fixture(scope="module")
def saas(stack: Stack) -> Iterator[Saas]:
    name = "sample-saas"
    stack.deploy_template(name, ROOT / "tests" / "sample-saas" / "template.yaml")
    yield Saas(stack, name)
    aws.delete_stack(name, stack.endpoint)


@pytest.fixture
def professional(customer: Customer) -> Customer:
    granted(assign(customer, **PROFESSIONAL), 201)
    return customer


def test_answers_are_remembered_for_a_minute_by_token_feature_and_route(saas: Saas, client: Client) -> None:
    for name, variable in (("SipCalling", "sip_calling"), ("Users", "users")):
        found = saas.authorizer(name)
        assert found["AuthorizerType"] == "REQUEST"
        assert found["AuthorizerPayloadFormatVersion"] == "2.0" and found["EnableSimpleResponses"] is True
        assert int(found["AuthorizerResultTtlInSeconds"]) == 60
        sources = ["$request.header.Authorization", f"$stageVariables.{variable}", "$context.routeKey"]
        assert found["IdentitySource"] == sources
        assert client.outputs["EntitlementAuthorizerArn"] in found["AuthorizerUri"]
    routes = saas.gateway.get_routes(ApiId=saas.id)["Items"]
    assert {route["RouteKey"]: route["AuthorizationType"] for route in routes} == {
        route: "CUSTOM" for route in (CALLS, "GET /calls/{call}", USERS)
    }


def test_only_the_sample_may_have_the_authorizer_invoked(saas: Saas, client: Client) -> None:
    function = client.outputs["EntitlementAuthorizerArn"]
    policy = json.loads(aws.client("lambda", client.endpoint).get_policy(FunctionName=function)["Policy"])
    for statement in policy["Statement"]:
        assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
        (source,) = statement["Condition"]["ArnLike"].values()
        assert source.endswith(f":{saas.id}/authorizers/*")


# -- Plans


def test_a_route_opens_and_closes_as_the_plan_changes(saas: Saas, customer: Customer) -> None:
    assert saas.opens(customer) is None
    customer.checkout(plan="crm-professional", currency="GEL", gateway="stripe")
    assert saas.opens(customer) is None, "what is ordered is not paid"
    customer.subscribe(plan="crm-basic", currency="GEL", gateway="stripe")
    assert saas.opens(customer) is None
    granted(customer.change("upgrade", plan="crm-professional", quantity=1, effective="now"))
    assert saas.opens(customer) == {
        "customer": customer.name,
        "plan": "crm-professional",
        "status": "active",
        "features": ["email_integration", "sip_calling", "ticket_management", "whatsapp_integration"],
    }
    granted(customer.change("downgrade", plan="crm-basic", quantity=1, effective="now", confirm=True))
    assert saas.opens(customer) is None
    assert (saas.opens(customer, USERS) or {})["features"] == ["email_integration", "ticket_management"]


def test_who_pauses_or_leaves_is_not_let_in(saas: Saas, professional: Customer) -> None:
    assert saas.opens(professional)
    granted(professional.change("pause", effective="now"))
    assert saas.opens(professional) is None
    granted(professional.change("unpause"))
    assert saas.opens(professional)
    granted(professional.change("cancel", effective="now"))
    assert saas.opens(professional) is None


def test_who_does_not_pay_is_let_in_through_grace_by_their_own_clock(
    saas: Saas, client: Client, customer: Customer
) -> None:
    """The token is good for a day of the world's; the customer's month passes meanwhile."""
    granted(assign(customer, **PROFESSIONAL | {"comp": {"percent": 100, "periods": 1}}), 201)
    client.walked(customer=customer.name, by="P1M")
    assert (saas.opens(customer) or {})["status"] == "past_due"
    client.walked(customer=customer.name, by="P3DT1M")
    assert saas.opens(customer) is None


def test_a_limit_closes_its_route_when_it_is_used_up(saas: Saas, customer: Customer) -> None:
    assert saas.opens(customer, USERS) is None
    granted(assign(customer, **BASIC), 201)
    for used, remaining in ((0, 10), (9, 1), (10, None), (11, None), (9, 1)):
        customer.use("users", used)
        told = saas.opens(customer, USERS)
        left = told and (told["used"], told["limit"], told["remaining"])
        assert left == (None if remaining is None else (used, 10, remaining))


# -- What API Gateway remembers


OTHER_ROUTE = "GET /calls/1"


def test_an_answer_is_remembered_for_its_token_and_route_and_for_no_other(saas: Saas, professional: Customer) -> None:
    token = saas.token(professional)
    assert saas.call(CALLS, token).status == 200
    granted(professional.change("pause", effective="now"))
    assert (saas.call(OTHER_ROUTE, token).status, saas.opens(professional)) == (403, None)
    assert saas.call(CALLS, token).status == 200, "for a minute"
    granted(professional.change("unpause"))
    assert saas.opens(professional)
    assert saas.call(OTHER_ROUTE, token).status == 403, "nor is what is refused asked for again"


def test_an_answer_is_remembered_no_longer_than_its_authorizer_says(saas: Saas, professional: Customer) -> None:
    token = saas.token(professional)

    def status(route: str = CALLS) -> int:
        return saas.call(route, token).status

    with saas.declaring("SipCalling", AuthorizerResultTtlInSeconds=2):
        assert status() == 200
        granted(professional.change("pause", effective="now"))
        wait_for(lambda: status() == status(OTHER_ROUTE) == 403, 10, "the routes to close")
        granted(professional.change("unpause"))
        wait_for(lambda: status() == status(OTHER_ROUTE) == 200, 10, "the routes to open")


# -- Tokens


def forged(issuer: Issuer, name: str) -> dict[str, str]:
    """Tokens that name the customer and are none."""
    good = mint(issuer, name)
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    other = encode(json.dumps(claims | {"sub": "globex"}).encode())
    unsigned = encode(json.dumps({"alg": "none", "kid": "local-1"}).encode())
    with_password = encode(json.dumps({"alg": "HS256", "kid": "local-1"}).encode())
    tag = hmac.new(issuer.public_pem(), f"{with_password}.{body}".encode(), hashlib.sha256).digest()
    now = int(time.time())
    return {
        "garbage": "garbage",
        "three parts of garbage": "a.b.c",
        "no signature": f"{head}.{body}.",
        "another's signature": f"{head}.{body}.{mint(issuer, 'globex').split('.')[2]}",
        "another customer": f"{head}.{other}.{signature}",
        "alg none": f"{unsigned}.{body}.",
        "alg none, signed": mint(issuer, name, header={"alg": "none"}),
        "the public key as a password": f"{with_password}.{body}.{encode(tag)}",
        "RS512": mint(issuer, name, header={"alg": "RS512"}),
        "no key": mint(issuer, name, header={"kid": ABSENT}),
        "nobody's key": mint(issuer, name, header={"kid": "../local-1"}),
        "keys of its own": mint(issuer, name, header={"jku": f"{issuer.url}/.well-known/jwks.json"}),
        "expired": mint(issuer, name, exp=now - 1),
        "without an end": mint(issuer, name, exp=ABSENT),
        "not valid yet": mint(issuer, name, nbf=now + 600),
        "another issuer": mint(issuer, name, iss=f"{issuer.url}/"),
        "another audience": mint(issuer, name, aud="another"),
        "the API's audience": mint(issuer, name, aud=AUDIENCE),
        "for nobody": mint(issuer, name, aud=ABSENT),
        "no customer": mint(issuer, name, sub=ABSENT),
        "a list of customers": mint(issuer, name, sub=[name]),
        "two customers": issuer.sign(
            {"alg": "RS256", "kid": "local-1"}, json.dumps(claims).replace("{", f'{{"sub":"{name}",', 1)
        ),
        "an ID token by its use": mint(issuer, name, token_use="id"),
        "an ID token by its nonce": mint(issuer, name, nonce="n-0S6_WzA2Mj"),
        "an ID token by the access token beside it": mint(issuer, name, at_hash="77QmUPtjPfzWtF2AnpK9RQ"),
        "too long": mint(issuer, name, padding="x" * 9_000),
    }


def test_s1_s16_a_forged_token_opens_nothing(saas: Saas, professional: Customer) -> None:
    for what, token in forged(saas.issuer, professional.name).items():
        assert saas.call(CALLS, token).status == 403, what
    token = saas.token(professional)
    for value in (token, f"Basic {token}", f"Bearer  {token}", f"Bearer {token} ,", f"Bearer {token},Bearer {token}"):
        assert saas.call(CALLS, headers={"authorization": value}).status == 403, value[:12]
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert saas.call(CALLS, headers={"authorization": f"{scheme} {token}"}).status == 200, scheme


def test_a_token_is_looked_for_in_its_header_and_nowhere_else(saas: Saas, professional: Customer) -> None:
    token = saas.token(professional)
    assert saas.call(CALLS).status == 401
    assert saas.call(CALLS, headers={"authorization": ""}).status == 401
    assert saas.call(f"{CALLS}?authorization=Bearer%20{token}&access_token={token}").status == 401
    elsewhere = {"x-authorization": f"Bearer {token}", "cookie": f"authorization={token}"}
    assert saas.call(CALLS, headers=elsewhere).status == 401


def test_s17_nobody_is_let_in_for_another(saas: Saas, professional: Customer, other: Customer) -> None:
    assert (saas.opens(professional) or {})["customer"] == professional.name
    token = saas.token(other)
    for route in (CALLS, f"{CALLS}?customer={professional.name}&sub={professional.name}"):
        claimed = {"x-customer": professional.name, "x-sub": professional.name}
        assert saas.call(route, token, headers=claimed).status == 403
    # A token needs no scope of ours here: it is the SaaS's own route.
    assert saas.call(CALLS, saas.token(professional, scope=ABSENT)).status == 200


# -- What a route asks for


def test_a_caller_cannot_choose_what_a_route_asks_for(saas: Saas, customer: Customer) -> None:
    granted(assign(customer, **BASIC), 201)
    free = "feature=ticket_management"
    token = saas.token(customer)
    said = {"feature": free, "sip_calling": free, "x-feature": free}
    assert saas.call(f"{CALLS}?{free}&sip_calling={free}", token, headers=said).status == 403


@pytest.mark.parametrize(
    "sources",
    [
        ["$request.header.Authorization", "$context.routeKey"],
        ["$stageVariables.sip_calling", "$context.routeKey"],
        ["$request.header.Authorization", "$request.header.x-feature", "$context.routeKey"],
        ["$request.header.Authorization", "$stageVariables.sip_calling", "$stageVariables.users"],
    ],
    ids=["nothing", "of everyone alike", "what the caller says", "two things"],
)
def test_a_route_that_does_not_say_what_it_asks_for_stays_closed(
    saas: Saas, professional: Customer, sources: list[str]
) -> None:
    with saas.declaring("SipCalling", IdentitySource=sources, AuthorizerResultTtlInSeconds=0):
        answer = saas.call(CALLS, saas.token(professional), headers={"x-feature": "feature=ticket_management"})
        assert answer.status == 403
    assert saas.opens(professional)


# -- Failures


@contextmanager
def pointed(client: Client, **variables: str) -> Iterator[None]:
    """While the authorizer's environment says something else."""
    functions, name = aws.client("lambda", client.endpoint), client.outputs["EntitlementAuthorizerArn"]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]

    def point(wanted: Mapping[str, str]) -> None:
        functions.update_function_configuration(FunctionName=name, Environment={"Variables": dict(wanted)})

    point(before | variables)
    try:
        yield
    finally:
        point(before)


@pytest.mark.parametrize(
    "variables",
    [{"TABLE_NAME": "no-such-table"}, {"TOKEN_ISSUER": "http://127.0.0.1:9"}],
    ids=["no store", "no issuer"],
)
def test_a_route_is_not_opened_by_what_is_not_known(
    saas: Saas, client: Client, professional: Customer, variables: dict[str, str]
) -> None:
    token = saas.token(professional, iss=variables.get("TOKEN_ISSUER", saas.issuer.url))
    with pointed(client, **variables):
        assert saas.call(CALLS, token).status == 500
    assert saas.opens(professional), "and that is not remembered"
