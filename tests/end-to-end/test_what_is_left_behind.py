"""After the other tests, which run in the order of their files' names: what the stack wrote down of them (S71, I-25)."""

import re
from collections.abc import Iterator

import aws
import pytest
from client import QUEUES, Client
from customer import Customer
from records import Records
from test_checkout import CARD

SECRETS = {
    "an API key": r"sk_(test|live)_",
    "a webhook's secret": r"whsec_",
    "a token": r"Bearer |eyJ[\w-]{10}",
    "a link": r"mail_\w{24}\.\d",
    "an address": r"billing@|[\w.+-]+@[\w-]+\.example",
    "a card number": CARD,
    "a client's secret": r"_secret_",
}


def written(client: Client) -> Iterator[tuple[str, str]]:
    """Every line and message that outlives a request, with where it was found."""
    logs = aws.client("logs", client.endpoint)
    for group in logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name):
            for event in page["events"]:
                yield name, event["message"]
    for part in ("emulator", "simulator"):
        log = client.folder / "logs" / f"{part}.log"
        for line in log.read_text(errors="replace").splitlines():
            yield log.name, line
    letters = [queue.replace("Url", "DeadLettersUrl") for queue in QUEUES]
    for queue in (*QUEUES, *letters):
        url = client.outputs[queue]
        asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
        for message in client.queues.receive_message(**asked).get("Messages", []):
            yield queue, str(message)


def test_s71_nothing_secret_is_in_logs_and_queues(client: Client, customer: Customer) -> None:
    customer.subscribe()  # so that there is something, even when this test runs alone
    lines = list(written(client))
    assert any("request refused" in line or "requestId" in line for _, line in lines), "nothing was logged at all"
    found = {
        f"{what} in {where}: {line[:300]}"
        for where, line in lines
        for what, pattern in SECRETS.items()
        if re.search(pattern, line)
    }
    assert not found


def test_s71_the_actual_keys_are_nowhere(client: Client, customer: Customer, records: Records) -> None:
    customer.subscribe()
    secrets = [secret.removeprefix("whsec_") for secret in client.stack["webhook_secrets"].values()]
    table = [("the table", str(item)) for item in records.all().values()]
    for where, line in [*written(client), *table]:
        assert not any(secret in line for secret in secrets), where


def test_no_function_broke_down(client: Client) -> None:
    """Killed ones aside, nothing panicked."""
    assert [line for line in client.logs() if "panicked" in line] == []


@pytest.mark.parametrize("queue", [*QUEUES, "RenewalsDeadLettersUrl", "MailsDeadLettersUrl"])
def test_nothing_waits(client: Client, queue: str) -> None:
    client.settle()
    assert client.waiting(queue) == 0
