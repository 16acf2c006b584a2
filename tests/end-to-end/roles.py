"""What each function may do: read from the roles that were deployed, and tried with a function's own credentials."""

from pathlib import Path
from typing import Any

import aws
import boto3
import pytest
from client import Client

# What SAM gives every function: to write its log and its trace, and to a worker, to read its queue.
EVERY = {"AWSLambdaBasicExecutionRole", "AWSXrayWriteOnlyAccess"}
WORKER = EVERY | {"AWSLambdaSQSQueueExecutionRole"}

Allowed = set[tuple[str, str]]

# For tests that look at, or end, the processes in which functions run.
sees_processes = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are only seen on Linux")


class Roles:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.iam = aws.client("iam", client.endpoint)
        pages = aws.client("lambda", client.endpoint).get_paginator("list_functions").paginate()
        found = [each for page in pages for each in page["Functions"]]
        # perennial-CreatePayment-F1AFB48CE6302
        self.functions: dict[str, dict[str, Any]] = {each["FunctionName"].split("-")[1]: each for each in found}

    def role(self, function: str) -> str:
        return self.functions[function]["Role"].rpartition("/")[2]

    def managed(self, function: str) -> set[str]:
        """The names of AWS's own policies that the function has."""
        attached = self.iam.list_attached_role_policies(RoleName=self.role(function))["AttachedPolicies"]
        return {policy["PolicyArn"].rpartition("/")[2] for policy in attached}

    def allowed(self, function: str) -> Allowed:
        """Every action with what it may be done to, under a name that does not change from stack to stack."""
        role, allowed = self.role(function), set()
        for document in [*self.own(role), *self.shared(role)]:
            for statement in document["Statement"]:
                assert statement["Effect"] == "Allow"
                for action in statement["Action"]:
                    for resource in as_list(statement["Resource"]):
                        allowed.add((action, self.named(resource) + self.only(statement.get("Condition"))))
        return allowed

    def own(self, role: str) -> list[Any]:
        names = self.iam.list_role_policies(RoleName=role)["PolicyNames"]
        return [self.iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]

    def shared(self, role: str) -> list[Any]:
        """The policies of this stack that several functions have: whose keys they may read."""
        attached = self.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        arns = [policy["PolicyArn"] for policy in attached if ":aws:policy/" not in policy["PolicyArn"]]
        found = [(arn, self.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]) for arn in arns]
        versions = [self.iam.get_policy_version(PolicyArn=arn, VersionId=version) for arn, version in found]
        return [version["PolicyVersion"]["Document"] for version in versions]

    def named(self, resource: str) -> str:
        outputs = self.client.outputs
        queues = {outputs[f"{name}Url"].rpartition("/")[2]: name for name in ("Renewals", "PaymentRetries", "Mails")}
        service, _, rest = resource.removeprefix("arn:aws:").partition(":")
        match service, rest.rpartition(":")[2]:
            case "dynamodb", table:
                return table.replace(f"table/{outputs['TableName']}", "table")
            case "sqs", queue:
                return queues[queue]
            case "secretsmanager", secret:
                ours = {"perennial-LinkKey": "the link key", "perennial-EntitlementKey": "the entitlement key"}
                made_up = [name for prefix, name in ours.items() if secret.startswith(prefix)]
                return made_up[0] if made_up else secret.rpartition("-")[0]
            case "ses", "configuration-set/*":
                return "any configuration set"
            case "ses", identity:
                return identity.removeprefix("identity/")
        return resource

    @staticmethod
    def only(condition: dict[str, Any] | None) -> str:
        match condition:
            case None:
                return ""
            case {"StringEquals": {"ses:FromAddress": str(address)}}:
                return f" from {address}"
            case {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["MAIL#*", "CUST#*"]}}:
                return " mails and customers"
            case {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["BRANDS"]}}:
                return " brands"
        assert condition == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["CLOCK"]}}
        return " clock"

    def credentials(self, function: str) -> dict[str, str]:
        """Those that a running process of the function was given."""
        name = f"AWS_LAMBDA_FUNCTION_NAME={self.functions[function]['FunctionName']}"
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                held = (folder / "environ").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue  # it has ended meanwhile, or is not ours
            variables = dict(each.partition("=")[::2] for each in held)
            if name in held and variables.get("AWS_ENDPOINT_URL") == self.client.endpoint:
                return {
                    "aws_access_key_id": variables["AWS_ACCESS_KEY_ID"],
                    "aws_secret_access_key": variables["AWS_SECRET_ACCESS_KEY"],
                    "aws_session_token": variables["AWS_SESSION_TOKEN"],
                }
        raise LookupError(f"no process of {function} is running")

    def as_function(self, function: str, service: str) -> Any:
        return boto3.client(
            service, endpoint_url=self.client.endpoint, region_name=aws.REGION, **self.credentials(function)
        )


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
