"""The story that `make run` tells, and the commands that it offers afterwards."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from client import Client
from conftest import ROOT
from customer import Gateways
from issuer import ADMIN, CUSTOMER
from records import Records


@pytest.fixture(scope="module")
def told(client: Client, records: Records) -> Iterator[str]:
    story = [sys.executable, ROOT / "local" / "story.py", "--folder", client.folder]
    done = subprocess.run(story, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    yield done.stdout
    forget(records)


def forget(records: Records) -> None:
    names = {pk.removeprefix("CUST#") for pk, _ in records.all()}
    for name in names:
        if name.startswith(("story-", "you-")):
            records.forget(name)


def test_every_chapter_is_told(told: str) -> None:
    for line in (
        "subscribe to estates-professional through Paystack: pay_",
        "NGN 7000.00 pending → http://127.0.0.1:",
        "the webhook charge.success arrives",
        "blocked: 25 are its limit, overage 1",
        "Estates: delete or archive 1 (reduce from 26 to 25 max)",
        "25 estates in use → downgrade to estates-starter allowed",
        "a month passes",
        "the card is declined",
        "→ past due, next try",
        "a day passes",
        "the webhook is lost → still incomplete",
        "Paystack is asked about",
        "a report takes 25 tokens, and is sent twice under one key: 975 are left",
        "All as told",
    ):
        assert line in told


def test_the_commands_work_as_they_are_printed(told: str, client: Client) -> None:
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    commands = told.partition("Try it yourself, from the project's folder:")[2]
    # `make token` asks the stack in .local, which is not this one; its tokens come from the same issuer.
    issuer = f"'{sys.executable}' '{ROOT}/local/issuer.py' --port 1 --key '{client.folder}/issuer.pem'"
    scope = f'case $3 in WHO=admin) echo "{ADMIN}";; *) echo "{CUSTOMER}";; esac'
    iss = f"--claim 'iss=\"{client.stack['issuer']}\"'"
    make = f'make() {{ {issuer} mint "${{3#WHO=}}" --scope "$({scope})" {iss}; }}\n'
    # A person's machine has little else to do while they paste; this one may have.
    patient = "sleep() { command sleep $(($1 * 3)); }\n"
    environment = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1,localhost"}
    done = subprocess.run(
        ["bash", "-eu", "-c", make + patient + commands], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith('{"id":"sub_')]
    assert [line.split('"status":"')[1].split('"')[0] for line in said] == ["active", "past_due", "active"], done.stdout
    assert '"overage":1' in done.stdout
    assert done.stdout.count('"method":"saved"') == 1


def test_a_story_that_is_not_true_is_said_to_be_untrue(client: Client, gateways: Gateways, records: Records) -> None:
    gateways.fault("paystack", "checkout", "error_500", times=10)
    story = [sys.executable, ROOT / "local" / "story.py", "--folder", client.folder]
    done = subprocess.run(story, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "503" in done.stderr
    assert "All as told" not in done.stdout
    forget(records)
