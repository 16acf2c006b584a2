//! What holds of going down in all small families of plans: the cheapest that would do, what is to be reduced, and from when
//! on it is possible, each against another way to tell.

use billing::calendar::Interval;
use billing::catalog::{Family, Limit, Meter, MeterKind, Plan, Price, PriceTier, PricingModel};
use billing::downgrade::{Downgrade, cheapest_fit, downgrade};
use billing::entitlement::Usage;
use billing::id::{FamilyId, MeterId, PlanId};
use billing::money::{Currency, Money};
use billing::order::Order;
use billing::subscription::Effective;
use billing::testing::{family, instant, meter, plan, zone};
use jiff::Zoned;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};
use std::sync::LazyLock;

/// A plan as it is drawn: with three meters, prices of a few cents, and limits of a few.
#[derive(Clone, Debug)]
struct Drawn {
    tier: u32,
    model: PricingModel,
    /// What a period, or a seat, or two of them, or the first two seats cost; and each seat from the third on.
    cents: (i64, i64),
    interval: Interval,
    currency: &'static str,
    recurring: bool,
    on_sale: bool,
    of_family: bool,
    /// None: nothing is said. Some(None): there is no limit.
    limits: [Option<Option<u64>>; 3],
}

/// A customer, and the plans there are. The plan that is held goes by the id of that number, and may differ from what is on
/// sale by that name.
#[derive(Clone, Debug)]
struct Market {
    counted: [bool; 3],
    plans: Vec<Drawn>,
    held: (usize, Drawn),
    seats: u32,
    used: [u64; 3],
}

const METERS: [&str; 3] = ["a", "b", "c"];

/// What all that is drawn is like in everything else. Read once: there are thousands.
static LIKE: LazyLock<(Family, Plan, FamilyId)> =
    LazyLock::new(|| (family("minutes"), plan("minutes-starter"), family("tokens").id));

fn markets() -> impl Strategy<Value = Market> {
    use PricingModel::{Flat, Graduated, Package, PerSeat};

    let model = proptest::sample::select(vec![Flat, PerSeat, Package, Graduated]);
    let interval = prop_oneof![5 => Just(Interval::Month), 1 => Just(Interval::Year)];
    let currency = prop_oneof![5 => Just("USD"), 1 => Just("EUR")];
    let often = || proptest::bool::weighted(0.85);
    let limit = prop_oneof![8 => (0_u64..6).prop_map(|most| Some(Some(most))), 2 => Just(Some(None)), 1 => Just(None)];
    let limits = proptest::array::uniform3(limit);
    let drawn = (1_u32..4, model, (1_i64..5, 0_i64..4), interval, currency, often(), often(), often(), limits);
    let drawn = drawn.prop_map(|(tier, model, cents, interval, currency, recurring, on_sale, of_family, limits)| {
        Drawn { tier, model, cents, interval, currency, recurring, on_sale, of_family, limits }
    });
    let plans = proptest::collection::vec(drawn.clone(), 0..6);
    let market = (any::<[bool; 3]>(), plans, (0_usize..6, drawn), 1_u32..6, proptest::array::uniform3(0_u64..6));
    market.prop_map(|(counted, plans, held, seats, used)| Market { counted, plans, held, seats, used })
}

fn named(plan: String) -> PlanId {
    PlanId::try_from(plan).unwrap_or_else(|error| panic!("{error}"))
}

fn is_seated(drawn: &Drawn) -> bool {
    drawn.model != PricingModel::Flat
}

impl Drawn {
    fn plan(&self, number: usize) -> Plan {
        let currency = Currency::from_code(self.currency).unwrap_or_else(|| panic!("{}", self.currency));
        let cents = |minor| Money { minor, currency };
        let mut price = Price::plain(self.interval, cents(self.cents.0), self.recurring);
        price.package_size = (self.model == PricingModel::Package).then_some(2);
        if self.model == PricingModel::Graduated {
            let tier = |up_to, minor| PriceTier { up_to, amount: cents(minor), flat: None };
            price.amount = cents(0);
            price.tiers = vec![tier(Some(2), self.cents.0), tier(None, self.cents.1)];
        }
        let said = METERS.into_iter().zip(self.limits).filter_map(|(name, limit)| Some((meter(name), limit?)));
        Plan {
            id: named(format!("minutes-{number}")),
            family: if self.of_family { LIKE.0.id.clone() } else { LIKE.2.clone() },
            tier: self.tier,
            pricing_model: self.model,
            prices: vec![price],
            limits: said.map(|(meter, most)| (meter, most.map_or(Limit::Unlimited, Limit::AtMost))).collect(),
            active: self.on_sale,
            ..LIKE.1.clone()
        }
    }

    fn order(&self, number: usize, seats: u32) -> Order {
        let plan = self.plan(number);
        let quantity = if is_seated(self) { seats } else { 1 };
        Order { price: plan.prices[0].clone(), plan, quantity, addons: vec![], discount: None }
    }

    /// Seat by seat.
    fn cost(&self, seats: u32) -> i64 {
        let of = |seat: u32| match self.model {
            PricingModel::Flat => i64::from(seat == 0) * self.cents.0,
            PricingModel::Package => i64::from(seat.is_multiple_of(2)) * self.cents.0,
            PricingModel::Graduated if seat >= 2 => self.cents.1,
            PricingModel::Graduated | PricingModel::PerSeat => self.cents.0,
            PricingModel::Volume | PricingModel::Tokens => panic!("none is drawn"),
        };
        (0..seats).map(of).sum()
    }

    fn holds(&self, used: [u64; 3]) -> bool {
        self.limits.iter().zip(used).all(|(limit, used)| match limit {
            None => used == 0,
            Some(most) => most.is_none_or(|most| used <= most),
        })
    }
}

impl Market {
    fn family(&self) -> Family {
        let kinds = self.counted.map(|counted| if counted { MeterKind::Counter } else { MeterKind::Gauge });
        let like = &LIKE.0;
        let drawn = |(name, kind)| Meter { id: meter(name), kind, ..like.meters[0].clone() };
        Family { meters: METERS.into_iter().zip(kinds).map(drawn).collect(), ..like.clone() }
    }

    /// How far one can go down from what is held to a plan, if so much is used.
    fn down_to(&self, number: usize, used: [u64; 3]) -> Downgrade {
        let (from, wanted) = (self.held.1.order(self.held.0, self.seats), self.plans[number].order(number, self.seats));
        downgrade(&from, &wanted, &self.family(), &usage(used), Some(&next_period()))
    }

    /// Of `used`, what is left when the next period begins.
    fn later(&self, mut used: [u64; 3]) -> [u64; 3] {
        for (used, counted) in used.iter_mut().zip(self.counted) {
            *used = if counted { 0 } else { *used };
        }
        used
    }

    /// Every plan that would do, with what it costs.
    fn fitting(&self) -> Vec<(i64, u32, PlanId)> {
        let (had, held) = &self.held;
        let mut fitting = vec![];
        for (number, drawn) in self.plans.iter().enumerate() {
            let sold = drawn.on_sale && drawn.of_family && (is_seated(held) || !is_seated(drawn));
            let alike = |it: &Drawn| (it.interval, it.currency, it.recurring);
            if number != *had && sold && alike(drawn) == alike(held) && drawn.holds(self.used) {
                fitting.push((drawn.cost(self.seats), drawn.tier, drawn.plan(number).id));
            }
        }
        if held.holds(self.used) {
            fitting.push((held.cost(self.seats), held.tier, held.plan(*had).id));
        }
        fitting
    }
}

fn usage(used: [u64; 3]) -> Usage {
    METERS.into_iter().map(meter).zip(used).collect()
}

fn next_period() -> Zoned {
    zone("Africa/Lagos").clocks(instant("2025-02-28T10:00:00Z"))
}

fn place(resource: &MeterId) -> usize {
    METERS.iter().position(|name| *name == resource.as_str()).unwrap_or_else(|| panic!("{resource}"))
}

fn holds_of_all_markets(test: impl Fn(Market) -> TestCaseResult) {
    let config = Config { cases: 3_000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&markets(), test).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_plan_that_would_do_is_cheaper_than_the_one_that_is_told() {
    holds_of_all_markets(|market| {
        let plans: Vec<Plan> = market.plans.iter().enumerate().map(|(number, it)| it.plan(number)).collect();
        let held = market.held.1.order(market.held.0, market.seats);
        let fit = cheapest_fit(&held, &plans, &market.family(), &usage(market.used));
        let told = fit.map(|it| (it.amount.minor, it.plan));
        let expected = market.fitting().into_iter().min().map(|(cost, _, plan)| (cost, plan));
        prop_assert_eq!(told, expected);
        Ok(())
    });
}

#[test]
fn what_is_to_be_reduced_is_enough_and_one_less_is_not() {
    holds_of_all_markets(|market| {
        for number in 0..market.plans.len() {
            let answer = market.down_to(number, market.used);
            let levels = || answer.exceeds.iter().filter(|it| it.resets_at.is_none());
            let mut reduced = market.used;
            for it in levels() {
                prop_assert!(!market.counted[place(&it.resource)], "nobody reduces what is counted");
                reduced[place(&it.resource)] -= it.overage;
            }
            prop_assert!(market.down_to(number, reduced).can_downgrade_at_period_end);
            prop_assert!(market.down_to(number, market.later(reduced)).can_downgrade);
            for it in levels() {
                let mut too_little = market.later(reduced);
                too_little[place(&it.resource)] += 1;
                prop_assert!(!market.down_to(number, too_little).is_possible(Effective::PeriodEnd));
            }
        }
        Ok(())
    });
}

#[test]
fn what_is_possible_and_from_when_is_what_is_so_with_nothing_counted_yet() {
    holds_of_all_markets(|market| {
        for (number, drawn) in market.plans.iter().enumerate() {
            let (answer, used) = (market.down_to(number, market.used), market.used);
            prop_assert_eq!(answer.is_possible(Effective::Now), drawn.holds(used));
            prop_assert_eq!(answer.is_possible(Effective::PeriodEnd), drawn.holds(market.later(used)));
            // Once there is nothing of any level, only what is counted can be left to be waited for.
            let mut counted = used;
            for (used, counts) in counted.iter_mut().zip(market.counted) {
                *used = if counts { *used } else { 0 };
            }
            let waits = (!drawn.holds(counted)).then(|| next_period().timestamp());
            prop_assert_eq!(answer.possible_from, waits);
        }
        Ok(())
    });
}
