"""End to end: the template as customers deploy it, on local stacks of the tests' own, with roles enforced.

    .venv/bin/python -m pytest tests/end-to-end          (make test runs it too)

One stack serves all tests. Business time only ever goes forward on it, for everyone at once, so each test has customers of
its own, and what it leaves behind is cleared away: nobody is renewed in somebody else's test. A second stack has neither
gateways nor plans.
"""

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "local"))

import aws  # noqa: E402
from client import Client  # noqa: E402
from commands import ended_politely  # noqa: E402
from customer import Customer, Gateways, granted  # noqa: E402
from issuer import ROUTE_AUDIENCE, Issuer  # noqa: E402
from progress import say  # noqa: E402
from stack import Ports, Stack  # noqa: E402
from records import Records  # noqa: E402
from studio import publish  # noqa: E402


@contextlib.contextmanager
def deployed(config: pytest.Config, name: str, parameters: Mapping[str, str]) -> Iterator[Stack]:
    """A stack that is there while the tests need it and gone afterwards, whatever happens in between."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with tempfile.TemporaryDirectory(prefix="perennial-") as folder, ended_politely():
        stack = Stack(Path(folder), Ports.free())
        try:
            with capture.global_and_fixture_disabled():
                say(f"\n{name}, in {folder}")
                stack.up(parameters)
            yield stack
        finally:
            stack.down()


@pytest.fixture(scope="session")
def stack(pytestconfig: pytest.Config) -> Iterator[Stack]:
    with deployed(pytestconfig, "A stack with everything", {"RouteAudience": ROUTE_AUDIENCE}) as stack:
        stack.load_catalogue()
        yield stack


@pytest.fixture(scope="session")
def bare(pytestconfig: pytest.Config) -> Iterator[Stack]:
    """What one gets who has set nothing up yet: no gateway's keys, no plan, no mails, no test clock."""
    gateways = ("Stripe", "Paystack", "Flitt", "PayPal")
    nothing = {f"{gateway}SecretArn": "" for gateway in gateways} | {"TestClock": "disabled", "MailFrom": ""}
    with deployed(pytestconfig, "A stack without keys and plans", nothing) as stack:
        yield stack


@pytest.fixture(scope="session")
def client(stack: Stack) -> Client:
    return stack.client()


@pytest.fixture(scope="session")
def issuer(stack: Stack) -> Issuer:
    return stack.issuer


@pytest.fixture(scope="session")
def records(client: Client) -> Records:
    return Records(client)


@pytest.fixture(autouse=True)
def within_a_day(request: pytest.FixtureRequest) -> None:
    """Business time is not about to pass midnight while a test runs: what it expects of days and of the ends of months
    would be another day's."""
    if "client" not in request.fixturenames:
        return
    client: Client = request.getfixturevalue("client")
    clock = granted(client.call("GET", "/health"))["clock"]
    now = datetime.fromisoformat(clock["now"])
    if clock["kind"] == "test" and (now + timedelta(minutes=15)).date() != now.date():
        client.advance("PT15M")


@pytest.fixture
def unswept(client: Client) -> Iterator[None]:
    """Nobody sweeps but the test: the schedule's sweep, at whatever moment its minute is over, would be first."""
    scheduler = aws.client("scheduler", client.endpoint)
    (found,) = scheduler.list_schedules()["Schedules"]
    schedule = scheduler.get_schedule(Name=found["Name"], GroupName=found["GroupName"])
    said = ("Name", "GroupName", "ScheduleExpression", "FlexibleTimeWindow", "Target", "Description")
    kept = {name: schedule[name] for name in said if schedule.get(name)}
    scheduler.update_schedule(**kept, State="DISABLED")
    yield
    scheduler.update_schedule(**kept, State=schedule["State"])


@pytest.fixture
def gateways(client: Client) -> Iterator[Gateways]:
    gateways = Gateways(client)
    yield gateways
    gateways.calm()


@pytest.fixture
def newcomer(client: Client, issuer: Issuer, records: Records) -> Iterator[Callable[[], Customer]]:
    """Makes customers whom nobody has seen before, and nobody sees or hears of afterwards."""
    made: list[Customer] = []

    def make() -> Customer:
        made.append(Customer.fresh(client))
        return made[-1]

    yield make
    gateways = Gateways(client)
    for customer in made:
        for payment in records.of(customer.name, "PAY#"):
            with contextlib.suppress(TimeoutError):  # it is the test that has to fail of that, if any
                gateways.have_told_of(payment["reference"]["S"])
        records.forget(customer.name)


@pytest.fixture
def customer(newcomer: Callable[[], Customer]) -> Customer:
    return newcomer()


@pytest.fixture
def other(newcomer: Callable[[], Customer]) -> Customer:
    return newcomer()


@pytest.fixture(scope="module")
def studio(client: Client) -> Iterator[None]:
    """On sale, and withdrawn afterwards: the other tests know what is for sale."""
    publish(client, active=True)
    yield
    publish(client, active=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """With a failed test, what went wrong in the functions meanwhile."""
    report = yield
    given = getattr(item, "funcargs", {})
    if report.when == "call" and report.failed and "client" in given:
        with contextlib.suppress(Exception):  # the stack itself may be what is broken
            said = given["client"].logs(since=call.start)
            errors = [json.loads(line)["fields"] for line in said if '"level":"ERROR"' in line]
            report.sections.append(("errors of the functions", "\n".join(json.dumps(it)[:500] for it in errors[-8:])))
    return report
