"""The deployed stack itself: what the template promises and only a deployment shows."""

import json
import re

import aws
import pytest
from botocore.exceptions import ClientError
from client import Client
from customer import Customer
from roles import EVERY, WORKER, Roles, sees_processes

PUBLIC = {
    "GET /plans",
    "GET /plans/{plan}",
    "GET /plans/{plan}/features",
    "GET /plans/comparison",
    "POST /webhooks/stripe",
    "POST /webhooks/paystack",
    "POST /webhooks/flitt",
    "POST /webhooks/paypal",
    "GET /pay/{link}",
    "GET /.well-known/jwks.json",
    "GET /health",
}
PROTECTED = {
    "POST /payments",
    "GET /payments",
    "GET /payments/{payment}",
    "POST /payments/{payment}/verify",
    "GET /subscription",
    "POST /subscription/validate-downgrade",
    "POST /subscription/payments",
    "POST /subscription/preview",
    "POST /subscription/changes",
    "POST /virtual-accounts",
    "GET /payment-methods",
    "POST /payment-methods",
    "POST /payment-methods/{method}/default",
    "DELETE /payment-methods/{method}",
    "POST /admin/customers/{customer}/payments/{payment}/refunds",
    "POST /admin/customers/{customer}/imports",
    "POST /admin/customers/{customer}/usage/{meter}/rebuild",
    "POST /admin/customers/{customer}/subscription/changes",
    "POST /admin/customers/{customer}/subscription",
    "POST /admin/assignments",
    "POST /admin/interventions",
    "POST /admin/imports",
    "PUT /admin/brands/{brand}",
    "GET /admin/brands",
    "PUT /usage/{meter}",
    "POST /usage",
    "POST /usage/{meter}/increment",
    "POST /tokens/consume",
    "GET /tokens/history",
    "GET /entitlements",
    "GET /alerts",
    "GET /usage/statistics",
    "PUT /alerts/{meter}",
    "GET /entitlements/{feature}",
    "GET /entitlements/token",
    "PUT /entitlements/{feature}/reservations/{id}",
    "DELETE /entitlements/{feature}/reservations/{id}",
    "POST /test-clock/advance",
    "POST /test-clock/walk",
}

CLOCK = {("dynamodb:GetItem", "table clock")}
GATEWAYS = ("stripe", "paystack", "flitt", "paypal")


def secret(gateway: str) -> set[tuple[str, str]]:
    return {("secretsmanager:GetSecretValue", f"perennial/{gateway}")}


SECRETS = {each for gateway in GATEWAYS for each in secret(gateway)}

LINK_KEY = {("secretsmanager:GetSecretValue", "the link key")}
ENTITLEMENT_KEY = {("secretsmanager:GetSecretValue", "the entitlement key")}


def on_table(*actions: str) -> set[tuple[str, str]]:
    return {(f"dynamodb:{action}", "table") for action in actions}


READS_AND_WRITES = on_table("GetItem", "BatchGetItem", "PutItem")
SETTLES = READS_AND_WRITES | SECRETS
ADDS = READS_AND_WRITES | on_table("UpdateItem")

WAKES = {("dynamodb:Query", "table/index/due-index")}
WAKES |= {("sqs:SendMessage", queue) for queue in ("Renewals", "PaymentRetries", "Mails")}

ALLOWED = {
    "ListPlans": on_table("Query"),
    "GetPlan": on_table("GetItem"),
    "GetPlanFeatures": on_table("GetItem"),
    "ComparePlans": on_table("Query"),
    "CreatePayment": SETTLES,
    "ListPayments": on_table("Query"),
    "GetPayment": on_table("GetItem"),
    "VerifyPayment": SETTLES,
    "GatewayWebhookStripe": READS_AND_WRITES | secret("stripe"),
    "GatewayWebhookPaystack": READS_AND_WRITES | secret("paystack"),
    "GatewayWebhookFlitt": READS_AND_WRITES | secret("flitt"),
    "GatewayWebhookPaypal": READS_AND_WRITES | secret("paypal"),
    "PayOwed": SETTLES,
    "FollowPayLink": SETTLES | LINK_KEY,
    "CreateVirtualAccount": SETTLES,
    "RefundPayment": SETTLES,
    "RebuildUsage": READS_AND_WRITES | on_table("Query"),
    "AdministerSubscription": READS_AND_WRITES | on_table("Query"),
    "AssignSubscription": SETTLES,
    "BulkAssign": SETTLES,
    "BulkAdminister": READS_AND_WRITES,
    "BulkImport": READS_AND_WRITES,
    "SetBrand": {("dynamodb:GetItem", "table brands"), ("dynamodb:PutItem", "table brands")},
    "ListBrands": {("dynamodb:Query", "table brands")},
    "ImportSubscription": READS_AND_WRITES | secret("stripe"),
    "ListPaymentMethods": on_table("GetItem"),
    "AddPaymentMethod": SETTLES,
    "PreferPaymentMethod": on_table("GetItem", "PutItem"),
    "RemovePaymentMethod": on_table("GetItem", "PutItem"),
    "GetSubscription": on_table("Query") | CLOCK,
    "ValidateDowngrade": on_table("Query") | CLOCK,
    "PreviewChange": on_table("Query", "GetItem", "BatchGetItem"),
    "ChangeSubscription": SETTLES | on_table("Query"),
    "SetUsage": on_table("GetItem", "BatchGetItem", "PutItem"),
    "ReportUsage": ADDS,
    "IncrementUsage": ADDS,
    "ReserveUsage": READS_AND_WRITES,
    "ReleaseUsage": READS_AND_WRITES,
    "ConsumeTokens": ADDS,
    "ListConsumptions": on_table("Query"),
    "ListEntitlements": on_table("Query") | CLOCK,
    "GetEntitlement": on_table("Query") | CLOCK,
    "ListAlerts": on_table("Query") | CLOCK,
    "GetUsageStatistics": on_table("GetItem", "Query"),
    "AcknowledgeAlerts": on_table("GetItem", "BatchGetItem", "PutItem"),
    "EntitlementAuthorizer": on_table("Query") | CLOCK,
    "SignEntitlements": on_table("Query") | CLOCK | ENTITLEMENT_KEY,
    "ListSigningKeys": ENTITLEMENT_KEY,
    "Health": CLOCK,
    "AdvanceTestClock": CLOCK | {("dynamodb:PutItem", "table clock")},
    "WalkTestClock": on_table("GetItem") | {("dynamodb:PutItem", "table clock")} | WAKES,
    "LoadCatalogue": on_table("GetItem", "BatchGetItem", "PutItem"),
    "SyncGateway": on_table("Query") | secret("stripe"),
    "Sweeper": CLOCK | WAKES,
    "RenewalWorker": SETTLES,
    "PaymentRetryWorker": SETTLES,
    "MailWorker": on_table("GetItem", "BatchGetItem")
    | LINK_KEY
    | {
        ("dynamodb:PutItem", "table mails and customers"),
        ("ses:SendEmail", "any configuration set from billing@perennial.example"),
        ("ses:SendEmail", "billing@perennial.example from billing@perennial.example"),
        ("ses:SendEmail", "perennial.example from billing@perennial.example"),
    },
}
WORKERS = {"RenewalWorker", "PaymentRetryWorker", "MailWorker"}


@pytest.fixture(scope="module")
def roles(client: Client) -> Roles:
    return Roles(client)


def test_every_route_exists_with_and_without_a_slash_and_asks_for_a_token_unless_it_is_public(client: Client) -> None:
    api = aws.client("apigatewayv2", client.endpoint)
    found = api.get_routes(ApiId=client.outputs["ApiId"])["Items"]
    asks = {route["RouteKey"]: route["AuthorizationType"] for route in found}
    expected = {route: "NONE" for route in PUBLIC} | {route: "JWT" for route in PROTECTED}
    assert asks == expected | {f"{route}/": kind for route, kind in expected.items()}
    scopes = {route["RouteKey"]: route["AuthorizationScopes"] for route in found if route.get("AuthorizationScopes")}
    moving = ("advance", "walk", "advance/", "walk/")
    assert scopes == {f"POST /test-clock/{how}": ["billing:admin"] for how in moving}


def test_the_authorizer_knows_the_issuer_and_the_audience(client: Client) -> None:
    (authorizer,) = aws.client("apigatewayv2", client.endpoint).get_authorizers(ApiId=client.outputs["ApiId"])["Items"]
    assert authorizer["AuthorizerType"] == "JWT"
    assert authorizer["JwtConfiguration"] == {"Issuer": client.stack["issuer"], "Audience": ["perennial"]}
    assert authorizer["IdentitySource"] == ["$request.header.Authorization"]


# -- Roles


def test_every_function_is_accounted_for(roles: Roles) -> None:
    assert set(roles.functions) == set(ALLOWED)


@pytest.mark.parametrize("function", ALLOWED)
def test_a_function_may_do_what_it_has_to_and_nothing_else(roles: Roles, function: str) -> None:
    allowed = roles.allowed(function)
    assert allowed == ALLOWED[function]
    aws_own = {name for name in roles.managed(function) if not name.startswith("perennial-")}
    assert aws_own == (WORKER if function in WORKERS else EVERY)
    for action, resource in allowed:
        assert "*" not in action + resource
        assert action not in ("dynamodb:Scan", "dynamodb:DeleteItem")
        # All others replace what they have read, whole; counts and balances are changed as they are by then.
        assert action != "dynamodb:UpdateItem" or function in ("ReportUsage", "IncrementUsage", "ConsumeTokens")


def test_no_function_shares_its_role(roles: Roles) -> None:
    assert len({function["Role"] for function in roles.functions.values()}) == len(ALLOWED)


def denied(call: object, **arguments: object) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] in ("AccessDeniedException", "AccessDenied")
    return False


@sees_processes
def test_s28_roles_are_enforced(client: Client, customer: Customer, roles: Roles) -> None:
    """With the credentials of running functions, what each must not be able to do is tried."""
    customer.subscribe()
    client.sweep()
    table = client.stack["table"]
    key = {"pk": {"S": f"CUST#{customer.name}"}, "sk": {"S": "LIVE#SUB"}}
    values = {":pk": key["pk"]}
    query = {"TableName": table, "KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": values}

    lookup = roles.as_function("GetSubscription", "dynamodb")
    assert lookup.query(**query)["Items"]
    assert denied(lookup.put_item, TableName=table, Item=key)
    assert denied(lookup.get_item, TableName=table, Key=key)
    assert denied(lookup.scan, TableName=table)
    assert denied(lookup.transact_write_items, TransactItems=[{"Put": {"TableName": table, "Item": key}}])

    sweeper = roles.as_function("Sweeper", "dynamodb")
    clock = {"pk": {"S": "CLOCK"}, "sk": {"S": "CLOCK"}}
    sweeper.get_item(TableName=table, Key=clock)
    assert denied(sweeper.get_item, TableName=table, Key=key)
    assert denied(sweeper.query, **query)
    assert denied(sweeper.put_item, TableName=table, Item=key)
    update = {"UpdateExpression": "SET a = :a", "ExpressionAttributeValues": {":a": {"S": "x"}}}
    assert denied(sweeper.update_item, TableName=table, Key=key, **update)

    secrets = aws.client("secretsmanager", client.endpoint).list_secrets()["SecretList"]
    for secret in secrets:
        for function in ("GetSubscription", "Sweeper"):
            reader = roles.as_function(function, "secretsmanager")
            assert denied(reader.get_secret_value, SecretId=secret["ARN"])
    webhooks = roles.as_function("GatewayWebhookPaystack", "secretsmanager")
    for secret in secrets:
        others = secret["Name"] != "perennial/paystack"
        assert denied(webhooks.get_secret_value, SecretId=secret["ARN"]) == others, secret["Name"]
    queues = roles.as_function("GetSubscription", "sqs")
    assert denied(queues.send_message, QueueUrl=client.outputs["RenewalsUrl"], MessageBody="{}")


# -- Queues, schedule, table


@pytest.mark.parametrize("name", ["Renewals", "PaymentRetries", "Mails"])
def test_what_a_worker_gives_up_ends_in_a_queue_with_an_alarm(client: Client, name: str) -> None:
    def attributes(output: str) -> dict[str, str]:
        url = client.outputs[output]
        return client.queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    queue, letters = attributes(f"{name}Url"), attributes(f"{name}DeadLettersUrl")
    assert json.loads(queue["RedrivePolicy"]) == {"deadLetterTargetArn": letters["QueueArn"], "maxReceiveCount": 5}
    assert queue["VisibilityTimeout"] == "180"
    assert letters["MessageRetentionPeriod"] == str(14 * 24 * 60 * 60)
    for each in (queue, letters):
        assert each["SqsManagedSseEnabled"] == "true"
        assert '"aws:SecureTransport": "false"' in each["Policy"]
    alarms = aws.client("cloudwatch", client.endpoint).describe_alarms()["MetricAlarms"]
    watched = {alarm["Dimensions"][0]["Value"] for alarm in alarms if alarm["MetricName"].endswith("MessagesVisible")}
    assert letters["QueueArn"].rpartition(":")[2] in watched


def test_workers_take_few_messages_and_report_each(client: Client, roles: Roles) -> None:
    found = aws.client("lambda", client.endpoint).list_event_source_mappings()["EventSourceMappings"]
    served = {mapping["FunctionArn"].split("-")[-2] for mapping in found}
    assert served == WORKERS
    for mapping in found:
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BatchSize"] <= 5
        assert mapping["ScalingConfig"]["MaximumConcurrency"] <= 10


def test_f29_the_sweeper_runs_every_minute(client: Client, roles: Roles) -> None:
    scheduler = aws.client("scheduler", client.endpoint)
    (found,) = scheduler.list_schedules()["Schedules"]
    schedule = scheduler.get_schedule(Name=found["Name"], GroupName=found["GroupName"])
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["State"] == "ENABLED"
    assert schedule["Target"]["Arn"] == roles.functions["Sweeper"]["FunctionArn"]


def test_s77_the_table_is_protected_and_forgets_only_what_it_may(client: Client) -> None:
    name = client.stack["table"]
    table = client.table.describe_table(TableName=name)["Table"]
    assert table["DeletionProtectionEnabled"] is True
    (index,) = table["GlobalSecondaryIndexes"]
    assert (index["IndexName"], index["Projection"]["ProjectionType"]) == ("due-index", "KEYS_ONLY")
    forgets = client.table.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert forgets == {"TimeToLiveStatus": "ENABLED", "AttributeName": "forget_at"}


def test_s78_no_function_runs_for_long_or_without_a_trace(roles: Roles) -> None:
    for name, function in roles.functions.items():
        assert function["Timeout"] <= 25, name
        assert function["Runtime"] == "provided.al2023", name
        assert function["LoggingConfig"]["LogFormat"] == "JSON", name


def test_s74_no_secret_is_in_a_functions_settings(client: Client, roles: Roles) -> None:
    held = json.dumps([function.get("Environment", {}) for function in roles.functions.values()])
    assert not re.search(r"sk_test_|sk_live_|whsec_", held)
    for secret in client.stack["webhook_secrets"].values():
        assert secret not in held
