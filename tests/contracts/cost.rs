//! How many requests of DynamoDB each call makes, through the real workflows.
//! Every one of them is a round trip that someone waits for and pays for.

use billing::calendar::Interval;
use billing::delivery::{DeliveryId, Notice};
use billing::id::{IdempotencyKey, PaymentId, PlanId, Reference, SubscriptionId, UsageId};
use billing::outcome::Remedy;
use billing::payment::{AskedBecause, CheckoutMethod, Gateway, Payment, Portion};
use billing::ports::{Lane, Wanted};
use billing::subscription::{Action, Command, Effective};
use billing::testing::{FakeGateways, FixedClock, MemoryQueue, Script, catalogue, customer, instant, meter, request};
use billing::workflow::{Billing, Checkout, Consume, Rebuild, RefundRequest, Reserve, Setup, Use, Wish};
use platform::dynamodb::Table;
use std::num::{NonZeroU32, NonZeroU64};
use tests::crowd::Crowd;
use tests::embedded::Embedded;

struct Shop {
    embedded: Embedded,
    billing: Billing<Table, FakeGateways, FixedClock>,
}

/// Requests that read, and transactions that write.
#[derive(Debug, PartialEq)]
struct Cost {
    reads: u32,
    writes: u32,
}

const fn cost(reads: u32, writes: u32) -> Cost {
    Cost { reads, writes }
}

impl Shop {
    /// Everything on sale, and nobody subscribed yet.
    async fn open() -> Self {
        let embedded = Embedded::new();
        let clock = FixedClock::at(instant("2025-01-31T10:00:00Z"));
        let billing = Billing::new(embedded.table(), FakeGateways::default(), clock);
        for family in ["estates", "minutes", "tokens", "crm"] {
            billing.load(catalogue(family)).await.expect(family);
        }
        let shop = Self { embedded, billing };
        shop.spent("load catalogues");
        shop
    }

    /// With someone who pays for `plan`.
    async fn serving(plan: &str) -> Self {
        let shop = Self::open().await;
        let payment = shop.paid(plan).await;
        shop.billing.receive(notice("evt_1", &payment)).await.expect("taken in");
        shop.spent("subscribe");
        shop
    }

    /// A checkout that was paid, of which nobody has told us.
    async fn paid(&self, plan: &str) -> Payment {
        let price = billing::testing::plan(plan).prices.remove(0);
        let order = Checkout { interval: price.interval, currency: price.amount.currency, ..request(plan, "key-1") };
        let payment = self.billing.checkout(order).await.expect("a checkout");
        self.billing.gateways.visit(&payment, true);
        self.spent("check out");
        payment
    }

    /// Units of capacity that were spent since this was last asked, on reads and on writes: in halves.
    fn units(&self, on: &str) -> (u64, u64) {
        let spent = self.embedded.spent();
        println!("{on}: {spent}");
        (spent.read_halves, spent.write_halves)
    }

    /// What was spent since this was last asked.
    fn spent(&self, on: &str) -> Cost {
        let spent = self.embedded.spent();
        println!("{on}: {spent}");
        cost(spent.reads, spent.writes)
    }
}

fn notice(event: &str, payment: &Payment) -> Notice {
    Notice {
        id: DeliveryId { gateway: Gateway::Paystack, event: event.to_owned() },
        kind: "charge.success".to_owned(),
        reference: Some(payment.reference.clone()),
        object: None,
        body: "{}".to_owned(),
    }
}

/// So many minutes of one each, numbered from `from` on.
fn uses(from: u32, to: u32) -> Vec<Use> {
    let one = |n: u32| Use {
        meter: meter("minutes"),
        value: NonZeroU64::MIN,
        id: UsageId::try_from(format!("call-{n}")).expect("an id"),
        at: None,
    };
    (from..to).map(one).collect()
}

fn one_token(n: u32) -> Consume {
    Consume {
        customer: customer(),
        tokens: NonZeroU32::MIN,
        description: None,
        key: IdempotencyKey::try_from(format!("consume-{n}")).expect("a key"),
        fingerprint: "1".to_owned(),
    }
}

fn subscribed() -> Wanted {
    Wanted::Subscription { customer: customer() }
}

#[tokio::test]
async fn a_lookup_is_one_request() {
    let shop = Shop::serving("estates-professional").await;
    assert!(shop.billing.lookup(&customer()).await.expect("an answer").is_some());
    assert_eq!(shop.spent("lookup"), cost(1, 0));
}

#[tokio::test]
async fn what_a_customer_may_use_is_one_request() {
    let shop = Shop::serving("estates-professional").await;
    let name = billing::id::FeatureId::try_from("estates".to_owned()).expect("a name");
    assert_eq!(shop.billing.entitlement(&customer(), &name).await.expect("an answer").reason, None);
    assert_eq!(shop.spent("entitlement"), cost(1, 0));
    assert!(shop.billing.entitlements(&customer()).await.expect("an answer").is_some());
    assert_eq!(shop.spent("entitlements"), cost(1, 0));
}

#[tokio::test]
async fn plans_and_payments_are_shown_for_one_request() {
    let shop = Shop::serving("estates-professional").await;
    let plan = PlanId::try_from("estates-starter".to_owned()).expect("a plan");
    assert!(shop.billing.plan(&plan).await.expect("an answer").is_some());
    assert_eq!(shop.spent("plan"), cost(1, 0));
    assert_eq!(shop.billing.plans().await.expect("an answer").len(), 10);
    assert_eq!(shop.spent("plans"), cost(1, 0));
    let payments = shop.billing.payments(&customer(), None, 20).await.expect("an answer");
    assert_eq!(shop.spent("payments"), cost(1, 0));
    assert!(shop.billing.payment(&customer(), &payments[0].id).await.expect("an answer").is_some());
    assert_eq!(shop.spent("payment"), cost(1, 0));
}

#[tokio::test]
async fn a_payment_is_created_with_one_read_and_two_writes() {
    let shop = Shop::open().await;
    let created = shop.billing.checkout(request("estates-professional", "key-1")).await.expect("a checkout");
    assert_eq!(shop.spent("create a payment"), cost(1, 2));
    let again = shop.billing.checkout(request("estates-professional", "key-1")).await.expect("the same");
    assert_eq!(again.id, created.id);
    assert_eq!(shop.spent("create it again"), cost(2, 0));
}

#[tokio::test]
async fn a_webhook_is_two_reads_and_a_transaction() {
    for plan in ["estates-professional", "tokens-pro"] {
        let shop = Shop::open().await;
        let payment = shop.paid(plan).await;
        shop.billing.receive(notice("evt_1", &payment)).await.expect("taken in");
        assert_eq!(shop.spent("webhook"), cost(2, 1));
        assert!(shop.billing.lookup(&customer()).await.expect("an answer").is_some_and(|live| live.wallet.is_some()));
    }
}

#[tokio::test]
async fn a_webhook_that_came_before_is_one_read() {
    let shop = Shop::serving("estates-professional").await;
    let payment = shop.billing.payments(&customer(), None, 1).await.expect("an answer").remove(0);
    shop.spent("payments");
    shop.billing.receive(notice("evt_1", &payment)).await.expect("taken in");
    assert_eq!(shop.spent("the same webhook"), cost(1, 0));
    shop.billing.receive(notice("evt_2", &payment)).await.expect("taken in");
    assert_eq!(shop.spent("another of the same payment"), cost(2, 1));
}

#[tokio::test]
async fn a_webhook_about_nothing_of_ours_is_a_read_and_a_write() {
    let shop = Shop::open().await;
    let strange = Notice { reference: None, ..notice("evt_1", &billing::testing::off_session_payment()) };
    shop.billing.receive(strange).await.expect("taken in");
    assert_eq!(shop.spent("strange webhook"), cost(1, 1));
}

#[tokio::test]
async fn verifying_is_a_read_and_a_write() {
    let shop = Shop::open().await;
    let payment = shop.paid("estates-professional").await;
    shop.billing.verify(&customer(), &payment.id).await.expect("an answer");
    assert_eq!(shop.spent("verify"), cost(1, 1));
    shop.billing.verify(&customer(), &payment.id).await.expect("an answer");
    assert_eq!(shop.spent("verify again"), cost(1, 0));
}

#[tokio::test]
async fn usage_is_set_with_a_read_and_a_write() {
    let shop = Shop::serving("estates-professional").await;
    shop.billing.set_usage(&customer(), &meter("estates"), 26).await.expect("set");
    assert_eq!(shop.spent("set usage"), cost(1, 1));
    // What another name stands for is known only when it was read.
    shop.billing.set_usage(&customer(), &meter("plots"), 25).await.expect("set");
    assert_eq!(shop.spent("set usage by an alias"), cost(2, 1));
}

#[tokio::test]
async fn what_is_counted_is_a_read_and_a_write_for_up_to_thirty_two_of_a_meter() {
    let shop = Shop::serving("minutes-pro").await;
    let (value, minutes) = (NonZeroU64::MIN, 10.try_into().expect("minutes"));
    let id = UsageId::try_from("call-0".to_owned()).expect("an id");
    let wanted = Reserve { customer: customer(), meter: meter("minutes"), id, value, minutes };
    shop.billing.reserve(&wanted).await.expect("held");
    shop.spent("reserve the first");
    for (from, to, expected) in [(0, 1, cost(1, 1)), (1, 33, cost(1, 1)), (33, 533, cost(16, 16)), (0, 1, cost(1, 0))] {
        let answers = shop.billing.report(&customer(), &uses(from, to)).await.expect("an answer");
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(shop.spent("report uses"), expected, "{from}..{to}");
    }
    let again = Rebuild { customer: customer(), meter: meter("minutes"), dry_run: true };
    let again = shop.billing.rebuild(&again).await.expect("an answer");
    assert_eq!(again.periods.iter().map(|it| (it.counted, it.recorded)).collect::<Vec<_>>(), [(533, 533)]);
    assert_eq!(again.days, []);
    assert_eq!(shop.spent("count again"), cost(4, 0));
    let statistics = shop.billing.statistics(&customer()).await.expect("an answer").expect("a subscription");
    assert_eq!(shop.spent("statistics"), cost(2, 0));
    assert_eq!(statistics.1.values().map(|it| it.today).collect::<Vec<_>>(), [533]);
    shop.billing.alerts(&customer()).await.expect("an answer");
    assert_eq!(shop.spent("alerts"), cost(2, 0));
    let key = IdempotencyKey::try_from("pause".to_owned()).expect("a key");
    shop.billing.request(&customer(), Command::Pause, None, &key, "pause").await.expect("paused");
    shop.spent("pause");
    shop.billing.alerts(&customer()).await.expect("an answer");
    assert_eq!(shop.spent("alerts of who is not served"), cost(1, 0));
}

#[tokio::test]
async fn what_is_counted_in_shards_is_two_reads_and_a_write_of_six_items() {
    let shop = Shop::serving("minutes-enterprise").await;
    let mut plans = billing::testing::catalogue("minutes");
    for it in plans.family.meters.iter_mut().filter(|it| it.id == meter("minutes")) {
        it.shards = Some(8.try_into().expect("shards"));
    }
    shop.billing.load(plans).await.expect("loaded");
    shop.billing.report(&customer(), &uses(0, 1)).await.expect("an answer").remove(0).expect("counted");
    shop.spent("report the first, and lend");
    for n in 1..50 {
        shop.billing.report(&customer(), &uses(n, n + 1)).await.expect("an answer").remove(0).expect("counted");
        let spent = shop.embedded.spent();
        println!("report a use in a shard: {spent}");
        assert_eq!((spent.reads, spent.writes, spent.read_halves, spent.write_halves), (2, 1, 24, 12), "{n}");
    }
    let live = shop.billing.lookup(&customer()).await.expect("an answer").expect("a subscription");
    assert_eq!(live.usage.get(&meter("minutes")), Some(&50));
    assert_eq!(shop.spent("look all up"), cost(1, 0));
}

#[tokio::test]
async fn what_is_reserved_is_two_reads_and_a_write_and_what_is_released_or_used_one_of_each() {
    let shop = Shop::serving("estates-professional").await;
    let wanted = |name: &str| Reserve {
        customer: customer(),
        meter: meter("estates"),
        id: UsageId::try_from(name.to_owned()).expect("an id"),
        value: NonZeroU64::MIN,
        minutes: 10.try_into().expect("minutes"),
    };
    for _ in 0..10 {
        shop.billing.reserve(&wanted("a")).await.expect("held");
    }
    assert_eq!(shop.spent("reserve, and ask again nine times"), cost(2 + 9, 1));
    let name = billing::id::FeatureId::try_from("estates".to_owned()).expect("a name");
    let standing = shop.billing.entitlement(&customer(), &name).await.expect("an answer").standing;
    assert_eq!(standing.map(|it| (it.reserved, it.remaining)), Some((1, Some(99))));
    assert!(shop.billing.entitlements(&customer()).await.expect("an answer").is_some());
    assert_eq!(shop.spent("entitlement, and all of them"), cost(2, 0));
    let release = async |name| shop.billing.release(&customer(), &meter("estates"), &wanted(name).id).await;
    release("a").await.expect("released");
    assert_eq!(shop.spent("release"), cost(1, 1));
    release("a").await.expect("nothing is held");
    assert_eq!(shop.spent("release it again"), cost(1, 0));
}

#[tokio::test]
async fn tokens_are_consumed_with_a_read_and_a_write() {
    let shop = Shop::serving("tokens-pro").await;
    let wanted = one_token(1);
    assert_eq!(shop.billing.consume(&wanted).await.expect("taken").balance, 4_999);
    assert_eq!(shop.spent("consume tokens"), cost(1, 1));
    assert_eq!(shop.billing.consume(&wanted).await.expect("the same").balance, 4_999);
    assert_eq!(shop.spent("consume them again"), cost(2, 0));
    assert_eq!(shop.billing.consumptions(&customer(), None, 20).await.expect("an answer").len(), 1);
    assert_eq!(shop.spent("what was consumed"), cost(1, 0));
}

/// What is read and written does not grow with what was used before.
#[tokio::test]
async fn what_is_used_costs_as_many_units_of_capacity_at_first_as_later() {
    let shop = Shop::serving("tokens-pro").await;
    for n in 0..100 {
        shop.billing.consume(&one_token(n)).await.expect("taken");
        assert_eq!(shop.units("consume tokens"), (6, 16), "{n}");
    }
    let shop = Shop::serving("minutes-pro").await;
    for n in 0..100 {
        shop.billing.report(&customer(), &uses(n, n + 1)).await.expect("an answer").remove(0).expect("counted");
        assert_eq!(shop.units("report a use"), (8, 12), "{n}");
    }
    for n in 1..10 {
        let answers = shop.billing.report(&customer(), &uses(n * 100, n * 100 + 32)).await.expect("an answer");
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(shop.units("report thirty-two uses"), (70, 136), "{n}");
    }
}

#[tokio::test]
async fn a_downgrade_is_checked_with_two_reads() {
    let shop = Shop::serving("estates-professional").await;
    let plan = PlanId::try_from("estates-starter".to_owned()).expect("a plan");
    shop.billing.validate_downgrade(&customer(), &plan).await.expect("an answer");
    assert_eq!(shop.spent("validate a downgrade"), cost(2, 0));
}

/// What allows more needs no look at what is in use but the one that finds the subscription.
#[tokio::test]
async fn an_upgrade_is_shown_for_two_reads_and_another_interval_for_one() {
    let shop = Shop::serving("estates-professional").await;
    let upgrade = Wish {
        customer: customer(),
        action: Action::Upgrade,
        plan: Some(billing::testing::plan("estates-enterprise").id),
        interval: None,
        quantity: None,
        addon: None,
        effective: Effective::Now,
        confirm: false,
        preview: None,
    };
    let interval = Some(Interval::Year);
    let yearly = Wish { action: Action::ChangeInterval, plan: None, interval, ..upgrade.clone() };
    shop.billing.preview_change(&upgrade).await.expect("an answer");
    assert_eq!(shop.spent("preview an upgrade"), cost(2, 0));
    shop.billing.preview_change(&yearly).await.expect("an answer");
    assert_eq!(shop.spent("preview another interval"), cost(1, 0));
}

#[tokio::test]
async fn a_renewal_is_one_read_and_two_writes() {
    let shop = Shop::serving("estates-professional").await;
    shop.billing.clock.set(instant("2025-02-28T10:00:00Z"));
    shop.billing.wake(subscribed()).await.expect("renewed");
    assert_eq!(shop.spent("renewal"), cost(1, 2));
    assert_eq!(shop.billing.gateways.taken(), 2);
    shop.billing.wake(subscribed()).await.expect("nothing to do");
    assert_eq!(shop.spent("the same message again"), cost(1, 0));
}

#[tokio::test]
async fn a_declined_renewal_and_its_retry_cost_what_a_renewal_does() {
    let shop = Shop::serving("estates-professional").await;
    shop.billing.gateways.next(Script::Decline(Remedy::RetryLater));
    shop.billing.clock.set(instant("2025-02-28T10:00:00Z"));
    shop.billing.wake(subscribed()).await.expect("declined");
    assert_eq!(shop.spent("declined renewal"), cost(1, 2));
    shop.billing.clock.set(instant("2025-03-01T10:00:00Z"));
    shop.billing.wake(subscribed()).await.expect("paid");
    assert_eq!(shop.spent("retry"), cost(1, 2));
    assert_eq!(shop.billing.gateways.taken(), 2);
}

#[tokio::test]
async fn a_payment_that_nobody_told_us_of_is_a_read_and_a_write() {
    let shop = Shop::open().await;
    let payment = shop.paid("estates-professional").await;
    shop.billing.clock.set(instant("2025-01-31T10:05:00Z"));
    let wanted = Wanted::Payment { customer: customer(), payment: payment.id };
    shop.billing.wake(wanted).await.expect("asked");
    assert_eq!(shop.spent("lost webhook"), cost(1, 1));
}

#[tokio::test]
async fn a_setup_is_created_as_a_payment_is_and_settled_as_one() {
    let shop = Shop::serving("estates-professional").await;
    let key = IdempotencyKey::try_from("key-2".to_owned()).expect("a key");
    let (customer, currency) = (customer(), request("estates-professional", "key-2").currency);
    let (email, fingerprint) = (None, "setup".to_owned());
    let wanted = Setup { customer, email, gateway: Gateway::Paystack, currency, return_url: None, key, fingerprint };
    let payment = shop.billing.set_up(wanted).await.expect("a page");
    assert_eq!(shop.spent("set a method up"), cost(1, 2));
    shop.billing.gateways.visit(&payment, true);
    shop.billing.receive(notice("evt_2", &payment)).await.expect("taken in");
    assert_eq!(shop.spent("webhook of a setup"), cost(2, 1));
}

#[tokio::test]
async fn a_method_is_removed_and_forgotten_with_a_read_and_a_write_each() {
    let shop = Shop::serving("estates-professional").await;
    let wallet = shop.billing.wallet(&customer()).await.expect("an answer");
    assert_eq!(shop.spent("wallet"), cost(1, 0));
    let method = wallet.default_method().expect("a method").id();
    shop.billing.remove_method(&customer(), &method).await.expect("removed");
    assert_eq!(shop.spent("remove a method"), cost(1, 1));
    shop.billing.wake(Wanted::Wallet { customer: customer() }).await.expect("told");
    assert_eq!(shop.spent("have it forgotten"), cost(1, 1));
    assert_eq!(shop.billing.gateways.forgotten().len(), 1);
}

#[tokio::test]
async fn a_refund_is_a_read_and_three_writes_and_asked_again_a_read() {
    let shop = Shop::serving("estates-professional").await;
    let payment = shop.billing.payments(&customer(), None, 1).await.expect("an answer").remove(0);
    shop.spent("payments");
    let wanted = RefundRequest {
        customer: customer(),
        payment: payment.id,
        portion: Portion::All,
        because: AskedBecause::RequestedByCustomer,
        key: IdempotencyKey::try_from("key-2".to_owned()).expect("a key"),
        fingerprint: "all".to_owned(),
    };
    shop.billing.refund(wanted.clone()).await.expect("given back");
    assert_eq!(shop.spent("refund"), cost(1, 3));
    shop.billing.refund(wanted).await.expect("the same");
    assert_eq!(shop.spent("the same refund"), cost(1, 0));
}

#[tokio::test]
async fn a_look_at_what_became_of_a_payment_is_a_read_and_a_write() {
    let shop = Shop::serving("estates-professional").await;
    let payment = shop.billing.payments(&customer(), None, 1).await.expect("an answer").remove(0);
    shop.spent("payments");
    shop.billing.clock.set(instant("2025-02-01T10:00:00Z"));
    let wanted = Wanted::Payment { customer: customer(), payment: payment.id };
    shop.billing.wake(wanted).await.expect("looked");
    assert_eq!(shop.spent("a look"), cost(1, 1));
}

/// Each transfer is taken in by itself, and what it pays for is paid in one transaction.
#[tokio::test]
async fn a_transfer_that_pays_an_order_is_taken_in_and_spent() {
    let shop = Shop::open().await;
    let order = Checkout { method: CheckoutMethod::VirtualAccount, ..request("estates-professional", "key-1") };
    let payment = shop.billing.checkout(order).await.expect("an account");
    assert_eq!(shop.spent("open an account"), cost(6, 2));
    let account = shop.billing.account(&customer()).await.expect("an answer").expect("an account");
    shop.spent("account");
    shop.billing.gateways.transfer("100004260131", payment.amount);
    let reference = Some(Reference::of_account("paystack", &account.account.account_number));
    shop.billing.receive(Notice { reference, ..notice("evt_1", &payment) }).await.expect("taken in");
    assert_eq!(shop.spent("webhook of a transfer"), cost(5, 3));
    assert!(shop.billing.lookup(&customer()).await.expect("an answer").is_some_and(|live| live.wallet.is_none()));
}

#[tokio::test]
async fn a_sweep_is_a_query_for_each_shard_of_each_lane() {
    let shop = Shop::serving("estates-professional").await;
    shop.billing.clock.set(instant("2025-02-28T10:00:00Z"));
    let queue = MemoryQueue::default();
    shop.billing.sweep(&queue, || true).await.expect("swept");
    // The renewal, and a look at what became of the first payment.
    let first = PaymentId { subscription: SubscriptionId::nth(&customer(), 1), period: 0, attempt: 1 };
    assert_eq!(queue.take(), [subscribed(), Wanted::Payment { customer: customer(), payment: first }]);
    let shards = u32::from(platform::dynamodb::keys::SHARDS);
    assert_eq!(shop.spent("sweep"), cost(shards * 3, 0));
    assert_eq!(Lane::ALL.len(), 3);
}

/// However many subscriptions there are: a sweep reads those that are due, and a renewal reads its own.
#[tokio::test]
async fn what_a_renewal_costs_does_not_depend_on_how_many_are_not_due() {
    let mut costs = vec![];
    for others in [0, 10, 2_000] {
        costs.push(Crowd::gather(others).await.month(40).await.spent);
    }
    assert_eq!((costs[1], costs[2]), (costs[0], costs[0]));
    let (swept, shards) = (costs[0].sweep, u32::from(platform::dynamodb::keys::SHARDS));
    assert_eq!((swept.reads, swept.writes, swept.rows), (shards * 3, 0, 40), "a row each, and no other's");
    let requests = [costs[0].renewals, costs[0].webhooks, costs[0].looks].map(|of| (of.reads, of.writes));
    assert_eq!(requests, [(40, 80), (80, 40), (40, 40)]);
}
