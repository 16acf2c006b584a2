"""A customer of the local stack, and the hand that moves its time: for the story and the end-to-end tests."""

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aws
from processes import Register

Found = TypeVar("Found")

# The outputs that name the work queues.
QUEUES = ("RenewalsUrl", "PaymentRetriesUrl", "MailsUrl")


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    method: str,
    url: str,
    *,
    token: str | None = None,
    body: Any = None,
    raw: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float = 40,
) -> Response:
    """One request, as given: nothing is followed, repeated or tidied up. `body` is sent as JSON, `raw` as it is."""
    address = urlsplit(url)
    sent = {"content-type": "application/json"} if body is not None else {}
    if token is not None:
        sent["authorization"] = f"Bearer {token}"
    target = address.path + (f"?{address.query}" if address.query else "")
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=seconds)
    try:
        content = raw if body is None else json.dumps(body).encode()
        connection.request(method, target or "/", content, {**sent, **(headers or {})})
        answer = connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def post_json(url: str, body: Any) -> Any:
    answer = request("POST", url, body=body)
    if answer.status >= 300:
        raise RuntimeError(f"POST {url}: {answer.status} {answer.body.decode(errors='replace')}")
    return json.loads(answer.body or b"null")


def get_json(url: str) -> Any:
    answer = request("GET", url)
    if answer.status >= 300:
        raise RuntimeError(f"GET {url}: {answer.status} {answer.body.decode(errors='replace')}")
    return json.loads(answer.body)


class Unmoved(RuntimeError):
    """Business time is where it was; the message says why."""


class Client:
    """What stack.json describes, with the calls one makes to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = json.loads((folder / "stack.json").read_text())
        self.outputs: dict[str, str] = json.loads((folder / "outputs.json").read_text())
        self.api: str = self.stack["api"]
        self.simulator: str = self.stack["simulator"]
        self.endpoint: str = self.stack["aws_endpoint"]

    # -- The API

    def call(self, method: str, path: str, **how: Any) -> Response:
        return request(method, f"{self.api}{path}", **how)

    def advance(self, by: str) -> str:
        """Move the whole stack's time by an ISO 8601 span at once; what falls due is done by the next sweep, and late."""
        return self.move("advance", {"by": by})["now"]

    def walk(self, *, customer: str | None = None, **goal: str) -> Iterator[dict[str, Any]]:
        """Take the whole stack, or one customer, to where the goal is: `by` a span, or `to` an instant.

        Gives each instant at which something was due, once that is done. Without a goal, goes on to the one that was set
        before. Nobody walks who does not take the steps: `walked` takes them all.
        """
        whose = {"customer": customer} if customer else {}
        step, stands = self.move("walk", whose | goal), time.monotonic()
        while not step["done"]:
            self.settle(pause=0.005)
            before, step = step, self.move("walk", whose)
            if step["now"] != before["now"] or step["done"]:
                stands = time.monotonic()
                yield before
            elif time.monotonic() - stands > 30:
                raise Unmoved(f"what is due at {step['now']} stays due")

    def walked(self, *, customer: str | None = None, **goal: str) -> int:
        """Take every step of a walk, and say how many there were."""
        return sum(1 for _ in self.walk(customer=customer, **goal))

    def move(self, how: str, body: Mapping[str, Any]) -> Any:
        answer = self.call("POST", f"/test-clock/{how}", token=self.stack["tokens"]["admin"], body=body)
        if answer.status != 200:
            raise Unmoved(f"the clock did not move: {answer.status} {answer.body.decode(errors='replace')}")
        return answer.json()

    # -- Behind the API

    def sweep(self) -> Any:
        """What the schedule does every minute, now."""
        return self.invoke("SweeperFunction")

    def invoke(self, output: str, payload: Any = None) -> Any:
        return aws.invoke(self.outputs[output], payload or {}, self.endpoint)

    def waiting(self, output: str) -> int:
        """How many messages a queue holds, those being worked on included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.queues.get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def settle(self, seconds: float = 240, pause: float = 0.1) -> None:
        """Wait until the work queues are empty; where a worker gave something back, until that has come again, too."""
        wait_for(lambda: not any(map(self.waiting, QUEUES)), seconds, "work to end", pause)

    def running(self, output: str) -> list[int]:
        """The processes in which a function lives at this moment, for tests that kill them. Linux only."""
        return self.processes_of(self.outputs[output])

    def processes_of(self, function: str) -> list[int]:
        """The same of a function that no output names."""
        emulator = Register(self.folder / "processes.json").find("emulator")
        name = f"AWS_LAMBDA_FUNCTION_NAME={function}".encode()
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if emulator and parent == emulator.pid and name in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue  # it has ended meanwhile
        return found

    def redeliver_after(self, seconds: int) -> None:
        """Have the work queues deliver again after this long, which is otherwise three minutes."""
        for output in QUEUES:
            wanted = {"VisibilityTimeout": str(seconds)}
            self.queues.set_queue_attributes(QueueUrl=self.outputs[output], Attributes=wanted)

    def logs(self, since: float = 0) -> list[str]:
        """Every line that the functions wrote, since a time of the world's."""
        pages = self.log_service.get_paginator("filter_log_events").paginate(
            logGroupName=self.outputs["FunctionLogs"], startTime=int(since * 1000)
        )
        return [event["message"] for page in pages for event in page["events"]]

    @cached_property
    def table(self) -> Any:
        return aws.client("dynamodb", self.endpoint)

    @cached_property
    def queues(self) -> Any:
        return aws.client("sqs", self.endpoint)

    @cached_property
    def log_service(self) -> Any:
        return aws.client("logs", self.endpoint)


def wait_for(look: Callable[[], Found], seconds: float, what: str, pause: float = 0.1) -> Found:
    """Look until there is something to see."""
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(pause)
    return found
