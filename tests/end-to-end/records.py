"""What the table holds, read past the API: to see that nothing was stored, or what was."""

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
