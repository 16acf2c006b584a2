"""What make run, stop, deploy-local, deploy-sample, story, token and walk do."""

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import aws
import catalogue
import processes
from client import Response, Unmoved
from customer import Customer
from issuer import ADMIN, CUSTOMER, SERVICE
from processes import StackError
from progress import say, step
from stack import LOCAL, PARTS, ROOT, Ports, Stack


def run(stack: Stack) -> int:
    """Everything, then serve until Ctrl-C or make stop."""
    with stack.served_by_us(), ended_politely():
        told = 0
        try:
            stack.stop_orphans()
            stack.claim_ports()
            build()
            stack.up()
            stack.load_catalogue()
            told = tell_story(stack)
            give_tokens(stack)
            say(introduction(stack))
            serve(stack)
        except KeyboardInterrupt:
            say()
        finally:
            if stack.has_processes():
                with step(f"Stopping; the state stays in {relative(stack.folder)}"):
                    stack.down()
        return told


def build() -> None:
    """One build for all functions and the simulator; cargo says itself how far it is."""
    with step("Building the functions and the gateway simulator (minutes the first time, seconds afterwards)"):
        command = ["cargo", "build", "--locked", "--workspace", "--bins"]
        if subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL).returncode != 0:
            raise StackError("The build failed; see above.")


def tell_story(stack: Stack) -> int:
    """The story failing is worth an exit code, but not worth taking away the stack one needs to see why."""
    story = LOCAL / "story.py"
    if not story.exists():
        return 0
    say()
    told = subprocess.run([sys.executable, story, "--folder", stack.folder], stdin=subprocess.DEVNULL).returncode
    if told != 0:
        say("The story broke off (see above). The stack keeps running, so that you can look.")
    return told


def give_tokens(stack: Stack) -> None:
    """The demo's second customer has a prepaid plan, and at the start of each run all of its tokens.

    Staff give it for nothing, for ever: nothing is owed however far time is moved, and no gateway has a part in it. Who has
    a subscription is given none, so whatever else was done with this customer at an earlier run stays as it is.
    """
    plan, client = "tokens-pro", stack.client()
    customer = Customer(client, stack.issuer, "globex")
    client.settle()  # time went on in the story, and what it woke may be a period of theirs

    def staff(path: str, **what: Any) -> Response:
        headers = {"idempotency-key": secrets.token_hex(12)}
        path, token = f"/admin/customers/{customer.name}/{path}", client.stack["tokens"]["admin"]
        return client.call("POST", path, token=token, body=what, headers=headers)

    with step(f"Giving {customer.name} the plan {plan}, with all of its tokens"):
        given = staff("subscription", plan=plan, interval="30_days", comp={"percent": 100, "periods": None})
        if given.status not in (201, 409):
            say(f"  It was refused: {given.status} {given.body.decode(errors='replace')}")
            return
        found = customer.subscription()
        tokens = found["tokens"] if (found["plan"]["id"], found["status"]) == (plan, "active") else None
        if tokens and tokens["balance"] != tokens["included"]:
            staff("subscription/changes", action="reset_tokens")


def introduction(stack: Stack) -> str:
    return f"""
The stack is running; make story tells the story again, with new customers.

  API         {stack.client().api}
  Gateways    {stack.simulator}
  Tokens      {stack.issuer.url}    make token WHO=acme
  Logs        {relative(stack.folder)}/logs
  Everything  {relative(stack.description)}

Ctrl-C (or make stop) ends it; what happened is still there at the next make run."""


def relative(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def serve(stack: Stack) -> None:
    """Wait until we are told to stop, or a part of the stack is gone."""
    parts = [stack.register.find(name) for name in PARTS]
    while True:
        for part in parts:
            if part is None or not part.alive():
                name = part.name if part else "stack"
                raise StackError(f"The {name} ended unexpectedly. The end of its log:\n{processes.tail(stack.log(name))}")
        time.sleep(0.5)


@contextmanager
def ended_politely() -> Iterator[None]:
    """Being asked to end (make stop, a closed terminal) is Ctrl-C by another name."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stop(stack: Stack) -> int:
    server = stack.register.find("stack")
    if server and stack.is_served():
        processes.signal_quietly(os.kill, server.pid, signal.SIGTERM)
        if processes.eventually(lambda: not stack.is_served(), 60):
            say("The local stack has ended; its state stays in .local.")
            return 0
    left = stack.has_processes()
    stack.down()
    say("Ended what an earlier run had left." if left else "No local stack is running.")
    return 0


def deploy(stack: Stack) -> int:
    """Build and deploy onto the running stack: what one does after a change."""
    running = stack_that_runs(stack)
    build()
    running.deploy()
    say(f"Deployed to {running.client().api}")
    return 0


def sample(stack: Stack) -> int:
    """Deploy a SaaS of the customer's own beside ours, and say where it is."""
    running, name = stack_that_runs(stack), "sample-saas"
    running.deploy_template(name, ROOT / "tests" / name / "template.yaml")
    say(f"{running.endpoint}/_aws/execute-api/{aws.outputs(name, running.endpoint)['ApiId']}")
    return 0


def story(stack: Stack) -> int:
    running = stack_that_runs(stack)
    if not (LOCAL / "story.py").exists():
        raise StackError("There is no local/story.py.")
    return subprocess.run([sys.executable, LOCAL / "story.py", "--folder", running.folder]).returncode


def token(stack: Stack) -> int:
    """A fresh token for a customer of any name, for the admin, or for a service."""
    who = os.environ.get("WHO") or "acme"
    print(stack_that_runs(stack).issuer.mint(who, {"admin": ADMIN, "service": SERVICE}.get(who, CUSTOMER)))
    return 0


def walk(stack: Stack) -> int:
    """Take the running stack, or one customer, through time, and say when something was done."""
    customer, by = os.environ.get("WHO") or None, os.environ.get("BY")
    client, began, steps = stack_that_runs(stack).client(), time.monotonic(), 0
    for step in client.walk(customer=customer, **({"by": by} if by else {})):
        steps += 1
        say(f"  {step['now']}  {step['woken']} due")
    now = client.move("walk", {"customer": customer} if customer else {})["now"]
    say(f"It is {now} for {customer or 'everyone'}: {steps} steps in {time.monotonic() - began:.1f} s.")
    return 0


def stack_that_runs(stack: Stack) -> Stack:
    """The running stack, on the ports that it has, whatever the environment says now."""
    if not stack.is_served() or not stack.description.exists():
        raise StackError("No local stack is running. Start one with: make run")
    told = json.loads(stack.description.read_text())
    ports = [urlsplit(told[part]).port for part in ("aws_endpoint", "simulator", "issuer")]
    return Stack(stack.folder, Ports(*(port for port in ports if port)), stack.binaries)


COMMANDS = {"run": run, "stop": stop, "deploy": deploy, "sample": sample, "story": story, "token": token, "walk": walk}


def main() -> int:
    parser = argparse.ArgumentParser(description="The local stack")
    parser.add_argument("command", choices=COMMANDS)
    arguments = parser.parse_args()
    try:
        return COMMANDS[arguments.command](Stack())
    except (StackError, catalogue.Refused, Unmoved) as problem:
        print(problem, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
