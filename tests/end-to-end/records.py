"""What the table holds, read past the API: to see that nothing was stored, or what was."""

import json
import re
from collections.abc import Iterator
from typing import Any

from client import Client

Item = dict[str, Any]


class Records:
    def __init__(self, client: Client) -> None:
        self.table, self.name = client.table, client.stack["table"]

    def all(self) -> dict[tuple[str, str], Item]:
        """The whole table: equal before and after means that nothing was written."""
        pages = self.table.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        items = [item for page in pages for item in page["Items"]]
        return {(item["pk"]["S"], item["sk"]["S"]): item for item in items}

    def about(self, name: str) -> dict[tuple[str, str], Item]:
        """All that names `name` anywhere."""
        return {key: item for key, item in self.all().items() if name in f"{key} {item}"}

    def of(self, customer: str, kind: str = "") -> list[Item]:
        """A customer's records whose kind (the start of their `sk`) it is."""
        values = {":pk": {"S": f"CUST#{customer}"}, ":sk": {"S": kind}}
        condition = "pk = :pk AND begins_with(sk, :sk)" if kind else "pk = :pk"
        if not kind:
            del values[":sk"]
        pages = self.table.get_paginator("query").paginate(
            TableName=self.name,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            ConsistentRead=True,
        )
        return [item for page in pages for item in page["Items"]]

    def delivery(self, gateway: str, event: str) -> Item | None:
        key = {"pk": {"S": f"HOOK#{gateway}#{event}"}, "sk": {"S": "HOOK"}}
        return self.table.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")

    def forget(self, customer: str) -> None:
        for item in self.of(customer):
            self.table.delete_item(TableName=self.name, Key={"pk": item["pk"], "sk": item["sk"]})

    def canonical(self, customer: str) -> list[str]:
        """All that is stored of a customer, a line an item: equal for two to whom the same happened at the same times.

        What is made from their name, and what the gateway calls their things, goes by another name. What the gateway told,
        and when, is left out: that is its own affair, and was not done by us.
        """
        mine = self.of(customer)  # first, and as they sort: here the gateway's names turn up for the first time
        mine += [item for (pk, _), item in self.all().items() if item.get("customer") == {"S": customer} and pk != mine[0]["pk"]["S"]]
        names = {customer: "customer"}
        for item in mine:
            text = json.dumps(item, sort_keys=True)
            names |= {tag: "tag" for tag in re.findall(r"\b(?:sub|pay)_([a-z0-9]+)-", text)}
            for method in re.findall(r"\bpm_[a-z0-9]+", text):
                names.setdefault(method, f"method {len(names)}")
            if item["sk"]["S"].startswith("PAY#"):
                names[item["reference"]["S"]] = f"reference of {item['sk']['S']}"
            if item["sk"]["S"] == "MAIL":
                names[item["id"]["S"]] = f"mail of {item['created_at']['S']}"
            for kind, name in gateways_own(item):
                names.setdefault(name, f"{kind} {len(names)}")
        name = re.compile("|".join(re.escape(each) for each in sorted(names, key=len, reverse=True)))
        shard = re.compile(r'(?<="due": {"S": ")([a-z-]+)#[0-9]')
        lines = [name.sub(lambda found: names[found[0]], json.dumps(item, sort_keys=True)) for item in mine]
        return sorted(shard.sub(r"\1", line) for line in lines)


def gateways_own(item: Any, within: str = "") -> Iterator[tuple[str, str]]:
    """What a gateway made up, wherever it stands in an item."""
    for name, value in sorted(item.items()) if isinstance(item, dict) else ():
        if name == "M":
            yield from gateways_own(value, within)
        elif name == "L":
            for each in value:
                yield from gateways_own(each.get("M"), within)
        elif isinstance(value, dict) and "S" in value:
            if name in ("token", "checkout_url") or (name == "id" and within in ("opened", "receipt")):
                yield name, value["S"]
        else:
            yield from gateways_own(value, name)
