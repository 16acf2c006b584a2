//! The comparison, against a Stripe that only remembers.

use super::changes::{self, Edits, Request, Step, There};
use super::{Marks, Price, Product, Recurring};
use crate::gateways::sync::Kind::{self, *};
use billing::calendar::Interval;
use billing::catalog::Plan;
use billing::money::{Currency, Money};
use billing::testing::plan;

/// What Stripe remembers of one plan.
#[derive(Default)]
struct Memory {
    there: Option<There>,
    made: u32,
}

impl Memory {
    /// Where everything was done.
    fn synced(plan: &Plan) -> Self {
        let mut memory = Self::default();
        memory.sync(plan, Edits::Kept);
        memory
    }

    fn compare(&self, plan: &Plan, edits: Edits) -> Vec<Step> {
        changes::steps(plan, self.there.as_ref(), edits)
    }

    /// What a comparison says, with what is about nothing left out.
    fn kinds(&self, plan: &Plan, edits: Edits) -> Vec<Kind> {
        self.compare(plan, edits).iter().map(|step| step.change.change).filter(|kind| *kind != InSync).collect()
    }

    fn sync(&mut self, plan: &Plan, edits: Edits) {
        self.sync_until(plan, edits, usize::MAX);
    }

    /// So many requests, and no more.
    fn sync_until(&mut self, plan: &Plan, edits: Edits, most: usize) {
        let steps = self.compare(plan, edits);
        steps.iter().flat_map(|step| &step.requests).take(most).for_each(|request| self.post(request));
    }

    fn post(&mut self, request: &Request) {
        match request.path.strip_prefix("/v1/").unwrap_or_default().split_once('/') {
            None if request.path == "/v1/products" => {
                let id = field(request, "id").unwrap_or_else(|| panic!("{request:?}"));
                let (active, name, description, metadata) = (true, String::new(), None, Marks::default());
                let product = Product { id, active, name, description, metadata };
                self.there = Some(There { product, prices: vec![] });
                self.product().change(request);
            }
            None => self.create_price(request),
            Some(("products", id)) => {
                assert_eq!(id, self.product().id);
                self.product().change(request);
            }
            Some((_, id)) => {
                let key = field(request, "lookup_key");
                for price in self.prices() {
                    if price.lookup_key.is_some() && price.lookup_key == key {
                        price.lookup_key = None;
                    }
                }
                let price = self.prices().iter_mut().find(|price| price.id == id);
                price.unwrap_or_else(|| panic!("{id}")).change(request);
            }
        }
    }

    fn create_price(&mut self, request: &Request) {
        self.made += 1;
        let id = format!("price_{}", self.made);
        let key = field(request, "lookup_key");
        self.prices().iter_mut().filter(|it| it.lookup_key == key).for_each(|it| it.lookup_key = None);
        let recurring = field(request, "recurring[interval]").map(|interval| Recurring {
            interval,
            interval_count: field(request, "recurring[interval_count]").map_or(1, number),
            usage_type: "licensed".to_owned(),
        });
        let mut price = Price {
            id,
            active: true,
            currency: field(request, "currency").unwrap_or_default(),
            unit_amount: field(request, "unit_amount").map(number),
            recurring,
            lookup_key: None,
            nickname: None,
            metadata: Marks::default(),
        };
        price.change(request);
        self.prices().insert(0, price);
    }

    fn product(&mut self) -> &mut Product {
        &mut self.there.as_mut().unwrap_or_else(|| panic!("no product")).product
    }

    fn prices(&mut self) -> &mut Vec<Price> {
        &mut self.there.as_mut().unwrap_or_else(|| panic!("no product")).prices
    }

    /// The amounts that can be bought, and the keys they are found by.
    fn on_sale(&mut self) -> Vec<(Option<i64>, Option<&str>)> {
        let prices = self.prices().iter().filter(|price| price.active);
        let mut prices: Vec<_> = prices.map(|price| (price.unit_amount, price.lookup_key.as_deref())).collect();
        prices.sort_unstable();
        prices
    }
}

impl Product {
    fn change(&mut self, request: &Request) {
        self.active = field(request, "active").map_or(self.active, |active| active == "true");
        self.name = field(request, "name").unwrap_or_else(|| self.name.clone());
        self.description = field(request, "description").or_else(|| self.description.clone());
        self.metadata.change(request);
    }
}

impl Price {
    fn change(&mut self, request: &Request) {
        self.active = field(request, "active").map_or(self.active, |active| active == "true");
        self.nickname = field(request, "nickname").or_else(|| self.nickname.clone());
        self.lookup_key = field(request, "lookup_key").or_else(|| self.lookup_key.clone());
        self.metadata.change(request);
    }
}

impl Marks {
    fn change(&mut self, request: &Request) {
        self.plan = field(request, "metadata[plan]").or_else(|| self.plan.clone());
        self.version = field(request, "metadata[version]").or_else(|| self.version.clone());
    }
}

fn field(request: &Request, name: &str) -> Option<String> {
    request.form.iter().find(|(field, _)| *field == name).map(|(_, value)| value.clone())
}

fn number<N: std::str::FromStr>(text: String) -> N {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

/// NGN 3000 a month, 30000 a year.
fn starter() -> Plan {
    plan("estates-starter")
}

fn next(plan: &Plan, change: impl FnOnce(&mut Plan)) -> Plan {
    let mut next = Plan { version: plan.version + 1, ..plan.clone() };
    change(&mut next);
    next
}

fn dearer(plan: &Plan) -> Plan {
    next(plan, |plan| plan.prices[0].amount.minor += 50_000)
}

#[test]
fn a_plan_that_stripe_has_never_heard_of_is_made_and_then_in_sync() {
    let mut memory = Memory::default();
    assert_eq!(memory.kinds(&starter(), Edits::Kept), [CreateProduct, CreatePrice, CreatePrice]);
    memory.sync(&starter(), Edits::Kept);
    let compared = memory.compare(&starter(), Edits::Kept);
    assert!(compared.iter().all(|step| step.change.change == InSync && step.requests.is_empty()), "{compared:?}");
    let keys =
        [(Some(300_000), Some("estates-starter:ngn:month")), (Some(3_000_000), Some("estates-starter:ngn:year"))];
    assert_eq!(memory.on_sale(), keys);
}

#[test]
fn what_the_catalogue_changes_is_changed_without_asking() {
    type Change = fn(&mut Plan);
    let yen = |minor| Money::new(minor, Currency::from_code("JPY").unwrap_or_else(|| panic!("JPY")));
    let cases: [(&str, Change, &[Kind]); 6] = [
        ("nothing that Stripe is told", |it| it.tier = 9, &[UpdateProduct, UpdatePrice, UpdatePrice]),
        ("the name", |it| it.display_name = "Basic".into(), &[UpdateProduct, UpdatePrice, UpdatePrice]),
        ("an amount", |it| it.prices[0].amount.minor += 1, &[UpdateProduct, ReplacePrice, UpdatePrice]),
        ("whether it recurs", |it| it.prices[1].recurring = false, &[UpdateProduct, UpdatePrice, ReplacePrice]),
        ("a price less", |it| _ = it.prices.pop(), &[UpdateProduct, UpdatePrice, ArchivePrice]),
        ("no longer on sale", |it| it.active = false, &[ArchiveProduct]),
    ];
    for (what, change, kinds) in cases {
        let (mut memory, plan) = (Memory::synced(&starter()), next(&starter(), change));
        assert_eq!(memory.kinds(&plan, Edits::Kept), kinds, "{what}");
        memory.sync(&plan, Edits::Kept);
        assert_eq!(memory.kinds(&plan, Edits::Kept), [], "{what}");
    }
    let (mut memory, plan) = (Memory::synced(&starter()), next(&starter(), |it| it.prices[0].amount = yen(500)));
    assert_eq!(memory.kinds(&plan, Edits::Kept), [UpdateProduct, CreatePrice, UpdatePrice, ArchivePrice]);
    memory.sync(&plan, Edits::Kept);
    assert_eq!(memory.on_sale()[0], (Some(500), Some("estates-starter:jpy:month")));
}

#[test]
fn a_price_that_changes_is_a_new_price_under_the_same_key() {
    let mut memory = Memory::synced(&starter());
    let plan = dearer(&starter());
    let steps = memory.compare(&plan, Edits::Kept);
    let replaced = &steps[1].change;
    let shown = |fields: &super::Fields| fields.get("amount").cloned();
    assert_eq!(shown(&replaced.from).as_deref(), Some("NGN 3000.00 a month"));
    assert_eq!(shown(&replaced.to).as_deref(), Some("NGN 3500.00 a month"));
    memory.sync(&plan, Edits::Kept);
    let keys =
        [(Some(350_000), Some("estates-starter:ngn:month")), (Some(3_000_000), Some("estates-starter:ngn:year"))];
    assert_eq!(memory.on_sale(), keys);
    let old = memory.prices().iter().find(|price| price.unit_amount == Some(300_000));
    assert!(old.is_some_and(|price| !price.active && price.lookup_key.is_none()));
}

type Edit = fn(&mut Memory);

/// What people do in the dashboard, and what it takes to undo it.
const EDITS: [(&str, Edit, &[Kind]); 12] = [
    ("another name", |it| it.product().name = "Special".into(), &[UpdateProduct]),
    ("no description", |it| it.product().description = None, &[UpdateProduct]),
    ("an archived product", |it| it.product().active = false, &[UpdateProduct]),
    ("a product that is not marked", |it| it.product().metadata = Marks::default(), &[UpdateProduct]),
    ("a later version", |it| it.product().metadata.version = Some("7".into()), &[UpdateProduct]),
    ("another nickname", |it| it.prices()[0].nickname = Some("Special".into()), &[UpdatePrice]),
    ("an archived price", |it| it.prices()[0].active = false, &[UpdatePrice]),
    ("a price without its key", |it| it.prices()[0].lookup_key = None, &[UpdatePrice]),
    ("a price that is not marked", |it| it.prices()[0].metadata = Marks::default(), &[UpdatePrice]),
    ("another price", |it| it.add_by_hand(99, None), &[ArchivePrice]),
    (
        "another price with the key",
        |it| it.add_by_hand(99, Some("estates-starter:ngn:year")),
        &[UpdatePrice, ArchivePrice],
    ),
    ("only another price with the key", Memory::swap_by_hand, &[ReplacePrice]),
];

impl Memory {
    fn add_by_hand(&mut self, minor: i64, key: Option<&str>) {
        self.prices().iter_mut().filter(|it| it.lookup_key.as_deref() == key).for_each(|it| it.lookup_key = None);
        let (id, lookup_key) = ("price_by_hand".to_owned(), key.map(str::to_owned));
        let (active, nickname, metadata) = (true, None, Marks::default());
        let (currency, unit_amount, recurring) = ("ngn".to_owned(), Some(minor), None);
        let price = Price { id, active, currency, unit_amount, recurring, lookup_key, nickname, metadata };
        self.prices().insert(0, price);
    }

    fn swap_by_hand(&mut self) {
        self.prices().iter_mut().filter(|it| it.unit_amount == Some(3_000_000)).for_each(|it| it.active = false);
        self.add_by_hand(99, Some("estates-starter:ngn:year"));
    }
}

#[test]
fn what_was_edited_by_hand_is_told_and_only_overwritten_by_force() {
    for (what, edit, kinds) in EDITS {
        let mut memory = Memory::synced(&starter());
        let before = memory.on_sale().len();
        edit(&mut memory);
        let found = memory.compare(&starter(), Edits::Kept);
        assert!(found.iter().all(|step| step.requests.is_empty()), "{what}");
        assert_eq!(memory.kinds(&starter(), Edits::Kept), vec![Drift; kinds.len()], "{what}");
        assert_eq!(memory.kinds(&starter(), Edits::Overwritten), kinds, "{what}");
        memory.sync(&starter(), Edits::Overwritten);
        assert_eq!(memory.kinds(&starter(), Edits::Kept), [], "{what}");
        assert_eq!(memory.on_sale().len(), before, "{what}");
    }
}

#[test]
fn what_differs_is_told_as_it_is_and_as_it_should_be() {
    let mut memory = Memory::synced(&starter());
    memory.product().name = "Special".to_owned();
    let drift = memory.compare(&starter(), Edits::Kept).remove(0).change;
    assert_eq!(drift.from, super::Fields::from([("name", "Special".to_owned())]));
    assert_eq!(drift.to, super::Fields::from([("name", "Starter".to_owned())]));
}

/// However often, and wherever, one is broken off: the rest is done the next time, and nobody's edit stands in the way.
#[test]
fn a_sync_that_breaks_off_anywhere_is_finished_by_the_next() {
    let (first, second) = (starter(), dearer(&starter()));
    let third = next(&second, |plan| plan.prices[0].amount.minor -= 50_000);
    for breaks in 0..6 {
        for again in 0..6 {
            let mut memory = Memory::default();
            memory.sync_until(&first, Edits::Kept, breaks);
            memory.sync(&first, Edits::Kept);
            memory.sync_until(&second, Edits::Kept, breaks);
            memory.sync_until(&third, Edits::Kept, again);
            memory.sync(&third, Edits::Kept);
            assert_eq!(memory.kinds(&third, Edits::Kept), [], "{breaks} {again}");
            assert_eq!(memory.on_sale().len(), 2, "{breaks} {again}");
            assert_eq!(memory.on_sale()[0], (Some(300_000), Some("estates-starter:ngn:month")), "{breaks} {again}");
        }
    }
}

#[test]
fn a_plan_that_comes_back_is_on_sale_as_before() {
    let mut memory = Memory::synced(&starter());
    let withdrawn = next(&starter(), |plan| plan.active = false);
    memory.sync(&withdrawn, Edits::Kept);
    assert!(!memory.product().active);
    let back = next(&withdrawn, |plan| plan.active = true);
    assert_eq!(memory.kinds(&back, Edits::Kept), [UpdateProduct, UpdatePrice, UpdatePrice]);
    memory.sync(&back, Edits::Kept);
    assert!(memory.product().active);
    assert_eq!(memory.made, 2, "with the prices that it had");
    assert_eq!(Memory::default().kinds(&withdrawn, Edits::Kept), [], "what was never there is not made");
}

#[test]
fn a_price_that_stripe_cannot_take_is_skipped_and_the_others_are_not() {
    let shillings = Currency::from_code("UGX").unwrap_or_else(|| panic!("UGX"));
    let mut plan = starter();
    plan.prices[0].amount = Money::new(500_000, shillings);
    let steps = Memory::default().compare(&plan, Edits::Overwritten);
    let kinds: Vec<Kind> = steps.iter().map(|step| step.change.change).collect();
    assert_eq!(kinds, [CreateProduct, Skipped, CreatePrice]);
    assert!(steps[1].requests.is_empty() && steps[1].change.reason.is_some());
}

#[test]
fn prices_that_are_paid_once_and_cost_the_same_are_two() {
    let mut plan = starter();
    let amount = plan.prices[0].amount;
    let once = |interval| billing::catalog::Price::plain(interval, amount, false);
    plan.prices = vec![once(Interval::Days(30)), once(Interval::Days(60))];
    let mut memory = Memory::synced(&plan);
    memory.prices().iter_mut().for_each(|price| price.lookup_key = None);
    assert_eq!(memory.kinds(&plan, Edits::Overwritten), [UpdatePrice, UpdatePrice]);
    memory.sync(&plan, Edits::Overwritten);
    assert_eq!((memory.made, memory.kinds(&plan, Edits::Kept)), (2, vec![]));
}

/// Else Stripe would answer a second request as it answered the first, and do nothing.
#[test]
fn a_price_that_is_made_again_is_asked_for_as_another() {
    let seen = |memory: &Memory| {
        let steps = memory.compare(&starter(), Edits::Overwritten);
        steps.iter().flat_map(|step| &step.requests).find_map(|request| request.seen.clone())
    };
    let mut memory = Memory::default();
    memory.sync_until(&starter(), Edits::Kept, 1);
    let first = seen(&memory);
    assert_eq!(first, seen(&memory));
    memory.sync(&starter(), Edits::Kept);
    memory.prices().iter_mut().for_each(|price| price.unit_amount = Some(1));
    let again = seen(&memory);
    assert!(first.is_some() && again.is_some() && first != again);
}
