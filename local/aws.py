"""Speaking to AWS: the emulator of a local stack, or the real one with whatever credentials the shell has."""

import contextlib
import json
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
import botocore.config

REGION = "us-east-1"
BUCKET = "perennial-artifacts"


def credentials(endpoint: str) -> dict[str, str]:
    """An environment that can only reach the emulator: the shell's own credentials and profiles are out of sight."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def shell(endpoint: str) -> dict[str, str]:
    """For tools: the person's environment without anything that names an AWS account."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # The tools' own proxies and certificates stay; the emulator is never behind a proxy.
    bypass = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
    return kept | credentials(endpoint) | bypass


@cache
def client(service: str, endpoint: str | None) -> Any:
    """A client for the emulator at `endpoint`, or for real AWS when there is none."""
    # A call is made once: repeating an invocation behind the caller's back would hide what a test is looking for.
    patience = botocore.config.Config(read_timeout=60, retries={"max_attempts": 0}, proxies={} if endpoint else None)
    if endpoint is None:
        return boto3.client(service, config=patience)
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=patience,
    )


class FunctionFailed(Exception):
    """The function itself failed, as opposed to answering that it will not."""


def invoke(function: str, payload: Any, endpoint: str | None) -> Any:
    answer = client("lambda", endpoint).invoke(FunctionName=function, Payload=json.dumps(payload).encode())
    body = json.loads(answer["Payload"].read() or b"null")
    if answer.get("FunctionError"):
        message = body.get("errorMessage", body) if isinstance(body, dict) else body
        raise FunctionFailed(f"{function}: {message}")
    return body


def outputs(stack: str, endpoint: str | None) -> dict[str, str]:
    found = client("cloudformation", endpoint).describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def keep_secret(name: str, value: Mapping[str, Any], endpoint: str) -> str:
    """Create the secret, or bring it up to date, and give its ARN."""
    secrets = client("secretsmanager", endpoint)
    text = json.dumps(value)
    try:
        return secrets.create_secret(Name=name, SecretString=text)["ARN"]
    except secrets.exceptions.ResourceExistsException:
        return secrets.put_secret_value(SecretId=name, SecretString=text)["ARN"]


def verify_sender(address: str, endpoint: str) -> None:
    """Mails are sent from nowhere else. The emulator takes any address to be ours; AWS would ask it first."""
    mails = client("sesv2", endpoint)
    with contextlib.suppress(mails.exceptions.AlreadyExistsException):
        mails.create_email_identity(EmailIdentity=address)


def make_bucket(endpoint: str) -> None:
    """Where `sam deploy` puts its packages. Made at each start: the emulator keeps stacks over a restart, but no files."""
    client("s3", endpoint).create_bucket(Bucket=BUCKET)


def forget_failed_stack(stack: str, endpoint: str) -> None:
    """Delete what a first deployment left when it failed or was killed: nothing can be deployed onto it.

    A finished stack is never touched, and at this moment no other deployment can be under way.
    """
    formation = client("cloudformation", endpoint)
    try:
        status = formation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    except formation.exceptions.ClientError:
        return  # there is none
    if status.startswith(("CREATE_", "ROLLBACK_", "REVIEW_", "DELETE_")) and status != "CREATE_COMPLETE":
        delete_stack(stack, endpoint)


def delete_stack(stack: str, endpoint: str) -> None:
    formation = client("cloudformation", endpoint)
    formation.delete_stack(StackName=stack)
    formation.get_waiter("stack_delete_complete").wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def failures(stack: str, endpoint: str) -> list[str]:
    """Why the latest deployment failed, in the words of CloudFormation."""
    events = client("cloudformation", endpoint).describe_stack_events(StackName=stack)["StackEvents"]
    failed = [event for event in events if event["ResourceStatus"].endswith("_FAILED")]
    return [f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', '')}" for event in failed[:10]]
