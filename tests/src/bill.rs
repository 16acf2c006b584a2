//! What AWS charges for a month with a million renewals, item by item: counted
//! requests and units times the prices of a file. Whole numbers throughout.

use crate::crowd::Costs;
use crate::prices::{Assumed, Dollars, Price, PriceFile};
use crate::spent::Spent;
use std::fmt;

const MILLION: u128 = 1_000_000;

const MINUTES_A_MONTH: u128 = 30 * 24 * 60;

/// The most messages that one `SendMessageBatch` takes.
const MESSAGES_A_SENDING: u128 = 10;

/// What is paid for.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    read_halves: u128,
    write_halves: u128,
    invocations: u128,
    ms: u128,
    messages: u128,
    calls: u128,
    schedules: u128,
}

/// One kind of thing that AWS has a price for.
struct Item<'a> {
    name: &'static str,
    price: &'a Price,
    used: u128,
    /// How many of `used` make one that is paid for.
    one: u128,
}

#[derive(Debug)]
pub struct Bill<'a> {
    file: &'a PriceFile,
    columns: [(&'static str, Used); 4],
    /// That one renewal keeps a worker waiting.
    wait_ms: u128,
}

impl PriceFile {
    /// For a million of what cost so much for `renewals`.
    pub fn bill(&self, costs: &Costs, renewals: u32) -> Bill<'_> {
        let assumed = &self.assumed;
        let million = |halves: u64| u128::from(halves) * MILLION / u128::from(renewals);
        let waited = |of: Spent| million(u64::from(of.reads + of.writes)) * assumed.request_ms;
        let idle = Used {
            read_halves: u128::from(costs.idle.read_halves) * MINUTES_A_MONTH,
            invocations: MINUTES_A_MONTH,
            ms: MINUTES_A_MONTH * assumed.idle_sweep_ms,
            messages: assumed.idle_polls_a_month,
            schedules: MINUTES_A_MONTH,
            ..Used::default()
        };
        let worked = |sweep: Spent, of: Spent| Used {
            read_halves: million(sweep.read_halves.saturating_sub(costs.idle.read_halves) + of.read_halves),
            write_halves: million(of.write_halves),
            invocations: MILLION / assumed.messages_an_invocation,
            ms: waited(of) + MILLION * assumed.gateway_ms + MILLION / MESSAGES_A_SENDING * assumed.request_ms,
            // Sent ten at a time; received and deleted as many at a time as an invocation gets.
            messages: MILLION / MESSAGES_A_SENDING + 2 * MILLION / assumed.messages_an_invocation,
            ..Used::default()
        };
        let heard = Used {
            read_halves: million(costs.webhooks.read_halves),
            write_halves: million(costs.webhooks.write_halves),
            invocations: MILLION,
            ms: waited(costs.webhooks) + MILLION * assumed.gateway_ms,
            calls: MILLION,
            ..Used::default()
        };
        let looks = worked(costs.sweep_for_looks, costs.looks).times(assumed.looks_a_payment);
        let renewals = worked(costs.sweep, costs.renewals);
        let columns = [("idle", idle), ("renewals", renewals), ("webhooks", heard), ("looks", looks)];
        Bill { file: self, columns, wait_ms: waited(costs.renewals) / MILLION + assumed.gateway_ms }
    }

    fn items(&self, used: Used) -> [Item<'_>; 8] {
        let (prices, assumed) = (&self.prices, &self.assumed);
        let item = |name, price, used, one| Item { name, price, used, one };
        [
            item("DynamoDB read units", &prices.dynamodb_read_units, used.read_halves, 2),
            item("DynamoDB write units", &prices.dynamodb_write_units, used.write_halves, 2),
            item("Lambda requests", &prices.lambda_requests, used.invocations, 1),
            item("Lambda GB-seconds", &prices.lambda_gb_seconds, used.ms * assumed.memory_mb, 1_000 * 1_024),
            item("SQS requests", &prices.sqs_requests, used.messages, 1),
            item("HTTP API requests", &prices.http_api_requests, used.calls, 1),
            item("EventBridge schedules", &prices.schedules, used.schedules, 1),
            item(
                "CloudWatch log GB",
                &prices.log_gigabytes,
                used.invocations * assumed.log_bytes_an_invocation,
                1_000_000_000,
            ),
        ]
    }
}

impl Used {
    fn times(self, times: u128) -> Self {
        Self {
            read_halves: self.read_halves * times,
            write_halves: self.write_halves * times,
            invocations: self.invocations * times,
            ms: self.ms * times,
            messages: self.messages * times,
            calls: self.calls * times,
            schedules: self.schedules * times,
        }
    }
}

impl Item<'_> {
    fn cost(&self) -> Dollars {
        Dollars(self.used * self.price.dollars.0 / (self.price.per.get() * self.one))
    }
}

/// The cost of each column, and of all of them.
fn in_columns(costs: [Dollars; 4]) -> String {
    let all = costs.into_iter().sum();
    costs.into_iter().chain([all]).map(|cost: Dollars| format!("{:>9}", cost.to_string())).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Bill<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, assumed) = (self.file, &self.file.assumed);
        writeln!(
            f,
            "A month with a million renewals, {}, prices of {}, in dollars; no free tier is taken off:\n",
            file.region, file.date
        )?;
        let columns = self.columns.map(|(_, used)| file.items(used));
        let names = self.columns.map(|(name, _)| format!("{name:>9}")).join(" ");
        writeln!(f, "{:<22} {:>14} {:>20} {names} {:>9}", "", "how many", "price", "all")?;
        for row in 0..columns[0].len() {
            let Item { name, price, one, .. } = &columns[0][row];
            let used = columns.iter().map(|items| items[row].used).sum::<u128>() / one;
            let price = format!("{} / {}", price.dollars.exactly(), price.per);
            let costs = columns.each_ref().map(|items| items[row].cost());
            writeln!(f, "{name:<22} {used:>14} {price:>20} {}", in_columns(costs))?;
        }
        let sums = columns.each_ref().map(|items| items.iter().map(Item::cost).sum());
        writeln!(f, "{:<58} {}\n", "sum", in_columns(sums))?;
        let Assumed { gateway_ms, request_ms, memory_mb, messages_an_invocation, workers, looks_a_payment, .. } =
            assumed;
        writeln!(
            f,
            "Assumed: a gateway answers in {gateway_ms} ms, DynamoDB and SQS in {request_ms} ms; functions of \
             {memory_mb} MB; {messages_an_invocation} messages an invocation; {looks_a_payment} looks at each payment."
        )?;
        let (each, hours) = (1_000_000 / self.wait_ms.max(1), MILLION * self.wait_ms / (workers.get() * 3_600_000));
        writeln!(
            f,
            "A worker that waits so long renews {}.{:03} a second; {workers} of them a million in {hours} hours.",
            each / 1_000,
            each % 1_000
        )?;
        writeln!(f, "Not counted: storage and backups, traces, alarms, secrets, calls of KMS, what gateways charge.")?;
        let items = file.items(Used::default());
        for Item { name, price, .. } in items.iter().filter(|item| !item.price.confirmed) {
            writeln!(f, "Not confirmed: the price of {name} ({}).", price.source)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> PriceFile {
        serde_json::from_str(include_str!("../bench/prices.json")).expect("a file of prices")
    }

    /// Worked out by hand, from ten renewals.
    #[test]
    fn a_bill_adds_up() {
        let spent =
            |reads, writes, read_halves, write_halves| Spent { reads, writes, rows: 0, read_halves, write_halves };
        let costs = Costs {
            idle: spent(24, 0, 24, 0),
            sweep: spent(24, 0, 44, 0),
            renewals: spent(10, 20, 40, 400),
            webhooks: spent(20, 10, 20, 200),
            sweep_for_looks: spent(24, 0, 24, 0),
            looks: spent(10, 10, 20, 100),
        };
        let file = ours();
        let bill = file.bill(&costs, 10);
        let cents = |column: usize, row: usize| file.items(bill.columns[column].1)[row].cost().to_string();
        // 43,200 sweeps of twelve units; a million renewals of three units, webhooks of one, five looks of one each.
        assert_eq!([0, 1, 2, 3].map(|column| cents(column, 0)), ["0.06", "0.38", "0.13", "0.63"]);
        // Twenty units a renewal, ten a webhook, five a look.
        assert_eq!([0, 1, 2, 3].map(|column| cents(column, 1)), ["0.00", "12.50", "6.25", "15.63"]);
        // Half an invocation a renewal, of 1,030 ms and what sending its message took, in a quarter of a GB.
        assert_eq!([cents(1, 2), cents(1, 3)], ["0.10", "3.44"]);
        // A tenth of a sending, half a receipt and half a deletion.
        assert_eq!([cents(0, 4), cents(1, 4), cents(2, 4), cents(3, 4)], ["0.80", "0.44", "0.00", "2.20"]);
        assert_eq!([cents(2, 5), cents(0, 6)], ["1.00", "0.04"]);
        let told = bill.to_string();
        assert!(
            told.contains("a million in 28 hours") && told.contains("Not confirmed: the price of EventBridge"),
            "{told}"
        );
    }
}
