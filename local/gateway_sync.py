"""A gateway's products and prices, beside our plans: make gateway-drift, make gateway-sync [FORCE=1] [STACK=perennial]

With STACK it is the stack of that name in the AWS account that the shell's credentials belong to; without, the running local
stack. `--drift` only looks, and exits with 1 if anything differs. What was edited by hand at the gateway is left as it is
unless `--force-update` says otherwise.

Like loading a catalogue, this has no route in the API: whoever may invoke the function (IAM) may do it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aws
from botocore.exceptions import BotoCoreError, ClientError

Change = dict[str, Any]
Ask = Callable[[bool], dict[str, Any]]

# What is told of a change that is still to be made, and of one that was made.
WORDS = {
    "create_product": ("missing", "created"),
    "update_product": ("out of date", "updated"),
    "archive_product": ("withdrawn, and still on sale there", "archived"),
    "create_price": ("missing", "created"),
    "update_price": ("out of date", "updated"),
    "replace_price": ("another amount", "a new price, the old one archived"),
    "archive_price": ("not in the catalogue", "archived"),
    "drift": ("edited by hand", ""),
    "skipped": ("skipped", ""),
}

# What says nothing to people: ids and marks of our own.
UNTOLD = ("id", "metadata[plan]", "lookup_key")


class Refused(Exception):
    """There is nothing to sync, or nobody to ask."""


def asking(function: str, endpoint: str | None, gateway: str, force: bool) -> Ask:
    def ask(apply: bool) -> dict[str, Any]:
        asked = {"gateway": gateway, "apply": apply, "force_update": force}
        try:
            answer = aws.invoke(function, asked, endpoint)
        except aws.FunctionFailed as failure:
            raise Refused(str(failure)) from None
        if "problem" in answer:
            raise Refused(answer["problem"])
        return answer

    return ask


def drift(ask: Ask, gateway: str) -> int:
    """What differs, and nothing is changed."""
    answer = ask(False)
    tell(answer["changes"])
    summary = answer["summary"]
    if not summary["changes"] and not summary["drift"]:
        print(in_sync(summary, gateway))
        return 0
    print(f"{number(summary['changes'], 'change')} to make, and {summary['drift']} edited by hand. Nothing was changed.")
    return 1


def sync(ask: Ask, gateway: str) -> int:
    """Does a piece after the other until there is nothing to do; the last look is also the proof."""
    done: set[tuple[str, ...]] = set()
    print(f"Comparing {gateway} with the plans", flush=True)
    while True:
        answer = ask(True)
        made = [change for change in answer["changes"] if change["applied"]]
        tell(made)
        names = {tuple(str(change.get(part)) for part in ("plan", "price", "change")) for change in made}
        if not made or names <= done:
            break
        done |= names
    left = [change for change in answer["changes"] if not change["applied"]]
    tell(left)
    summary = answer["summary"]
    made_in_all = f"{number(len(done), 'change')} made"
    if summary["changes"]:
        # Refused, unanswered, or made again and again because it does not stay.
        print(f"{made_in_all}, and {summary['changes']} still to make: what stands in the way is said above.")
        return 1
    if summary["drift"]:
        print(f"{made_in_all}; {summary['drift']} edited by hand at {gateway}, and left so: FORCE=1 overwrites that.")
        return 0
    print(f"{made_in_all}. {in_sync(summary, gateway)}")
    return 0


def in_sync(summary: dict[str, int], gateway: str) -> str:
    skipped = f", and {summary['skipped']} that it cannot take" if summary["skipped"] else ""
    return f"{gateway} has what the plans say: {number(summary['in_sync'], 'product and price', 'products and prices')}{skipped}."


def number(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"


def tell(changes: list[Change]) -> None:
    for change in changes:
        if change["change"] == "in_sync":
            continue
        what = change.get("price") or change["plan"]
        words = WORDS[change["change"]][change["applied"]]
        print("  ".join([f"  {what:<36}", words, *details(change)]).rstrip(), flush=True)


def details(change: Change) -> Iterator[str]:
    before, after = change.get("from", {}), change.get("to", {})
    for field in ("name", "amount") if change["change"].startswith("create_") else sorted({*before, *after}):
        if field in UNTOLD or not {field} & {*before, *after}:
            continue
        name = field.removeprefix("metadata[").removesuffix("]")
        values = [before.get(field), after.get(field)]
        yield f"{name} " + " → ".join(value for value in values if value)
    if "reason" in change:
        yield f"({change['reason']})"


def main() -> int:
    parser = argparse.ArgumentParser(description="Bring a gateway's products and prices in line with the plans")
    parser.add_argument("--gateway", default="stripe")
    parser.add_argument("--drift", action="store_true", help="only look; exits with 1 if anything differs")
    parser.add_argument("--force-update", action="store_true", help="overwrite what was edited by hand at the gateway")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", help="a CloudFormation stack in AWS")
    where.add_argument("--local", type=Path, metavar="FOLDER", help="a running local stack, by its folder (.local)")
    arguments = parser.parse_args()
    try:
        if arguments.local:
            endpoint = json.loads((arguments.local / "stack.json").read_text())["aws_endpoint"]
            found = json.loads((arguments.local / "outputs.json").read_text())
        else:
            endpoint, found = None, aws.outputs(arguments.stack, None)
        if "SyncGatewayFunction" not in found:
            raise Refused("The stack has no SyncGatewayFunction: deploy this version of it first.")
        ask = asking(found["SyncGatewayFunction"], endpoint, arguments.gateway, arguments.force_update)
        return (drift if arguments.drift else sync)(ask, arguments.gateway.capitalize())
    except FileNotFoundError:
        problem = "No local stack is running. Start one with make run, or name one in AWS: STACK=…"
    except (BotoCoreError, ClientError) as error:
        problem = f"AWS: {error}"
    except Refused as refused:
        problem = str(refused)
    print(problem, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
