//! What people do: customers buy, pay, leave and come back, rearrange their
//! payment methods; somebody of the SaaS gives money back; and all of it in the
//! moments in which it is least convenient.

use crate::aftermath::Afterwards;
use crate::errand::Errand;
use crate::faults::{DAY, HOUR, MINUTE, SECOND};
use crate::jobs::{Job, Looked, Page};
use crate::rng::Rng;
use crate::world::{Happening, State};
use billing::calendar::Interval;
use billing::calendar::zone::Zone;
use billing::discount::Discount;
use billing::id::{AddonId, CouponCode, CustomerId, IdempotencyKey, PlanId, Reference};
use billing::mail::{Contact, Mail};
use billing::money::{Currency, Money};
use billing::payment::{AskedBecause, CheckoutMethod, Gateway, Payment, PaymentStatus, Portion};
use billing::ports::{Key, MailError, Record, Wanted};
use billing::subscription::{Action, Command, Effective};
use billing::testing::idempotency_key;
use billing::workflow::{Checkout, Recovery, RefundRequest, Setup, Subscribe, Wish};

/// A third of them count in UTC. In the others clocks are put forward and back while the stories last, by as little as
/// half an hour; or it is another day there; or nothing is special.
const HOMES: [&str; 9] = [
    "UTC",
    "UTC",
    "UTC",
    "Africa/Lagos",
    "America/New_York",
    "America/Santiago",
    "Asia/Tbilisi",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
];

impl State {
    /// Gives each customer something to do between `start` and `end`.
    pub(crate) fn cast(&mut self, start: i64, end: i64) {
        self.price(start, end);
        let names = ["acme", "globex"];
        for name in &names[..self.rng.one_of(&[1, 1, 2])] {
            let Ok(customer) = CustomerId::try_from((*name).to_owned()) else { continue };
            if let Ok(home) = Zone::try_from(self.rng.one_of(&HOMES).to_owned()) {
                self.homes.insert(customer.clone(), home);
            }
            let mut time = start + self.rng.within(0, 2 * HOUR);
            for order in 0..self.rng.within(1, 4) {
                self.order(&customer, order, time);
                let any_time = self.rng.within(time, end.max(time));
                time = self.rng.one_of(&[time + MINUTE, time + 5 * HOUR, time + 2 * DAY, any_time]);
            }
            for _ in 0..self.faults.customers.commands {
                let command = self.rng.one_of(&[
                    Command::CancelNow,
                    Command::CancelAtPeriodEnd,
                    Command::Resume,
                    Command::Resume,
                    Command::Pause,
                    Command::PauseAtPeriodEnd,
                    Command::Unpause,
                    Command::Unpause,
                ]);
                let time = self.rng.within(start, end);
                let job = self.command(customer.clone(), command);
                self.at(time, Happening::Start(job));
                self.is_used_by(&customer, time);
            }
            for number in 0..3 {
                if self.rng.chance(self.faults.customers.subscribes) {
                    self.subscribe(&customer, number, start, end);
                }
            }
            for number in 0..self.faults.customers.changes {
                self.change(&customer, number, start, end);
            }
            if self.rng.chance(self.faults.customers.ran_elsewhere) {
                self.take_over(&customer, start, end);
            }
            if self.faults.customers.reports > 0 {
                self.is_used(&customer, start, end);
            }
            for number in 0..self.faults.customers.interventions {
                self.intervene(&customer, number, start, end);
            }
            for _ in 0..self.faults.customers.rearrangements {
                let time = self.rng.within(start, end);
                self.at(time, Happening::Rearrange(customer.clone()));
            }
        }
    }

    fn order(&mut self, customer: &CustomerId, number: i64, time: i64) {
        let (plan, interval, currency) = self.rng.one_of(&[
            ("estates-starter", Interval::Month, "NGN"),
            ("estates-professional", Interval::Month, "NGN"),
            ("estates-professional", Interval::Days(7), "NGN"),
            ("estates-professional", Interval::Days(7), "NGN"),
            ("tokens-basic", Interval::Days(30), "USD"),
            ("tokens-once", Interval::Days(10), "USD"),
        ]);
        let (gateway, time_zone) = (self.some_gateway(), self.named_home(customer));
        let coupon = self.some_coupon();
        if currency == "USD" {
            self.consume(customer, time);
        }
        let request = |key: String, plan: &str, quantity| -> Option<Checkout> {
            Some(Checkout {
                customer: customer.clone(),
                email: Some(format!("{customer}@example.com")),
                plan: PlanId::try_from(plan.to_owned()).ok()?,
                interval,
                currency: Currency::from_code(currency)?,
                quantity,
                coupon: coupon.clone(),
                time_zone: time_zone.clone(),
                gateway,
                method: CheckoutMethod::Checkout,
                return_url: None,
                holder: None,
                key: IdempotencyKey::try_from(key).ok()?,
                fingerprint: format!("{plan} {interval} {gateway:?} {coupon:?}"),
            })
        };
        let seats = if plan == "estates-professional" { self.some_seats() } else { 1 };
        let times = if self.rng.chance(self.faults.customers.impatience) { 3 } else { 1 };
        for n in 0..times {
            let key = if self.rng.chance(500) { format!("{number}") } else { format!("{number}.{n}") };
            let Some(request) = request(key, plan, seats) else { continue };
            let time = time + self.rng.within(0, 2 * SECOND);
            self.at(time, Happening::Start(Job::Open { page: Box::new(Page::Checkout(request)), tries: 0 }));
        }
    }

    /// Without a page: with a trial, if there is one to be had. Sometimes by somebody of the SaaS, who gives some of it.
    fn subscribe(&mut self, customer: &CustomerId, number: usize, start: i64, end: i64) {
        let plan = self.rng.one_of(&["estates-starter", "estates-professional"]);
        let quantity = (plan == "estates-professional").then(|| self.some_seats());
        let Ok(plan) = PlanId::try_from(plan.to_owned()) else { return };
        let interval = Some(self.rng.one_of(&[Interval::Month, Interval::Days(7)]));
        let contact =
            Contact { email: format!("billing@{customer}.example"), gateway: self.some_gateway(), return_url: None };
        let (contact, coupon, time_zone) = (Some(contact), self.some_coupon(), self.named_home(customer));
        let (customer, currency) = (customer.clone(), None);
        let mut aside = self.rng.aside();
        let gift = (coupon.is_none() && aside.chance(250))
            .then(|| (aside.one_of(&[50, 100, 100]), aside.one_of(&[Some(1), Some(2), None])));
        self.offered.extend(gift.map(|(percent, periods)| (customer.clone(), percent, periods)));
        let comp = gift.map(|(percent, periods)| Discount::comp(percent, periods));
        let looks = aside.chance(400);
        let preview = None;
        let wanted =
            Subscribe { customer, contact, plan, interval, currency, quantity, coupon, comp, time_zone, preview };
        let time = self.rng.within(start, end);
        for n in 0..if self.rng.chance(self.faults.customers.impatience) { 2 } else { 1 } {
            let key =
                if self.rng.chance(500) { format!("subscribe.{number}") } else { format!("subscribe.{number}.{n}") };
            let time = time + self.rng.within(0, 2 * SECOND);
            let (wanted, key) = (Box::new(wanted.clone()), idempotency_key(&key));
            let job = match looks {
                true => Job::Preview { of: Looked::Subscribe(wanted), key },
                false => Job::Subscribe { wanted, key, tries: 0 },
            };
            self.at(time, Happening::Start(job));
        }
    }

    /// Where a plan is sold by the seat.
    fn some_seats(&mut self) -> u32 {
        if self.faults.customers.by_the_seat { self.rng.one_of(&[1, 1, 2, 3, 7]) } else { 1 }
    }

    /// Under a key of its own, or one that was used before by chance.
    fn command(&mut self, customer: CustomerId, command: Command) -> Job {
        let key = idempotency_key(&format!("command.{}", self.rng.below(1_000)));
        match self.rng.aside().chance(300) {
            true => Job::Preview { of: Looked::Request(customer, command), key },
            false => Job::Request { customer, command, shown: None, key },
        }
    }

    /// Another plan, up or down, now or later; sometimes clicked twice, and sometimes just as a period ends.
    fn change(&mut self, customer: &CustomerId, number: usize, start: i64, end: i64) {
        let (action, plan, interval) = self.rng.one_of(&[
            (Action::Upgrade, Some("estates-professional"), None),
            (Action::Downgrade, Some("estates-starter"), None),
            (Action::ChangeInterval, None, Some(Interval::Days(7))),
            (Action::ChangeInterval, None, Some(Interval::Month)),
        ]);
        let by_the_seat = self.faults.customers.by_the_seat;
        let (action, plan, interval) = match by_the_seat && self.rng.chance(500) {
            true => (Action::ChangeSeats, None, None),
            false => (action, plan, interval),
        };
        let seats = (by_the_seat && matches!(action, Action::Upgrade | Action::ChangeSeats)).then(|| self.some_seats());
        let plan = plan.and_then(|plan| PlanId::try_from(plan.to_owned()).ok());
        let wish = Wish {
            customer: customer.clone(),
            action,
            plan,
            addon: None,
            interval,
            quantity: seats,
            effective: self.rng.one_of(&[Effective::Now, Effective::Now, Effective::PeriodEnd]),
            confirm: true,
            preview: None,
        };
        let mut aside = self.rng.aside();
        let (wish, looks) = (perhaps_of_addon(wish, &mut aside), aside.chance(400));
        let any_time = self.rng.within(start, end);
        let time = self.rng.one_of(&[any_time, any_time, start + 28 * DAY, start + 7 * DAY]);
        self.is_used_by(customer, time);
        for n in 0..if self.rng.chance(self.faults.customers.impatience) { 2 } else { 1 } {
            let key = if self.rng.chance(500) { format!("change.{number}") } else { format!("change.{number}.{n}") };
            let Ok(key) = IdempotencyKey::try_from(key) else { continue };
            let time = time + self.rng.within(0, 2 * SECOND);
            let wish = Box::new(wish.clone());
            let job = match looks {
                true => Job::Preview { of: Looked::Change(wish), key },
                false => Job::Change { wish, key, tries: 0 },
            };
            self.at(time, Happening::Start(job));
        }
    }

    /// Some know a code, and one of the codes is of nothing.
    fn some_coupon(&mut self) -> Option<CouponCode> {
        let code = self.rng.one_of(&["", "", "", "", "THIRD", "GIFT", "SAVE", "ALMOST", "NOTHING"]);
        let code = if self.faults.customers.one_code { "GIFT" } else { code };
        CouponCode::try_from(code.to_owned()).ok()
    }

    /// Where they live, if they say so: they do not always.
    pub(crate) fn named_home(&mut self, customer: &CustomerId) -> Option<Zone> {
        let says = self.rng.chance(750);
        self.homes.get(customer).filter(|_| says).cloned()
    }

    pub(crate) fn some_gateway(&mut self) -> Gateway {
        let at = self.rng.below(self.faults.in_use.len());
        self.faults.in_use.get(at).copied().unwrap_or(Gateway::Stripe)
    }

    /// A key that nobody used before.
    fn new_key(&mut self, of: &str) -> Option<IdempotencyKey> {
        self.events += 1;
        IdempotencyKey::try_from(format!("{of}.{}", self.events)).ok()
    }

    /// A method is added, preferred or removed.
    pub(crate) fn rearrange(&mut self, customer: &CustomerId) {
        let methods = match self.records.get(&Key::Wallet(customer.clone())) {
            Some(Record::Wallet(wallet)) => wallet.methods.iter().map(billing::wallet::Method::id).collect(),
            _ => vec![],
        };
        let one = (!methods.is_empty()).then(|| methods[self.rng.below(methods.len())].clone());
        match (self.rng.below(3), one) {
            (1, Some(method)) => self.soon(Job::Prefer { customer: customer.clone(), method }),
            (2, Some(method)) => self.soon(Job::Remove { customer: customer.clone(), method }),
            _ => self.set_up(customer),
        }
    }

    fn set_up(&mut self, customer: &CustomerId) {
        let gateway = self.some_gateway();
        let currency = if gateway == Gateway::Paystack { "NGN" } else { "USD" };
        let (Some(currency), Some(key)) = (Currency::from_code(currency), self.new_key("setup")) else { return };
        let setup = Setup {
            customer: customer.clone(),
            email: None,
            gateway,
            currency,
            return_url: None,
            key,
            fingerprint: format!("{gateway:?}"),
        };
        self.soon(Job::Open { page: Box::new(Page::Setup(setup)), tries: 0 });
    }

    fn soon(&mut self, job: Job) {
        self.after(0, 2 * SECOND, Happening::Start(job));
    }

    /// The customer was told that a payment was declined.
    pub(crate) fn owes(&mut self, customer: &CustomerId) {
        if !self.rng.chance(self.faults.customers.comes_back) {
            return;
        }
        let latest = self.rng.one_of(&[MINUTE, 5 * HOUR, 4 * DAY]);
        for _ in 0..self.rng.within(1, 3) {
            let gateway = self.some_gateway();
            let Some(key) = self.new_key("recovery") else { return };
            let recovery = Recovery {
                customer: customer.clone(),
                email: None,
                gateway,
                method: CheckoutMethod::Checkout,
                return_url: None,
                key,
                fingerprint: format!("{gateway:?}"),
            };
            let job = Job::Open { page: Box::new(Page::Recovery(recovery)), tries: 0 };
            self.after(0, latest, Happening::Start(job));
        }
        if self.rng.chance(200) {
            self.after(0, latest, Happening::Rearrange(customer.clone()));
        }
    }

    /// A mail is taken, or is not. Whoever gets it follows its link, or does not.
    pub(crate) fn mailed(&mut self, mail: &Mail) -> Result<(), MailError> {
        let silence = || MailError::NoAnswer("told to be silent".into());
        if self.rng.chance(self.faults.mails.request_lost) {
            return Err(silence());
        }
        if self.rng.chance(self.faults.mails.refused) {
            return Err(MailError::Refused("told to refuse".to_owned()));
        }
        *self.mailed.entry(mail.id.clone()).or_default() += 1;
        self.heard_of_price(mail);
        if self.rng.chance(self.faults.customers.comes_back)
            && let Some(key) = self.new_key("mail")
        {
            let job = Job::Open { page: Box::new(Page::Mail(mail.id.clone(), key)), tries: 0 };
            let latest = self.rng.one_of(&[MINUTE, 5 * HOUR, 4 * DAY]);
            self.after(0, latest, Happening::Start(job));
        }
        if self.rng.chance(self.faults.mails.answer_lost) { Err(silence()) } else { Ok(()) }
    }

    /// A page was opened for the customer: they pay, or not.
    pub(crate) fn opened(&mut self, page: &Page, payment: Payment) {
        if let Some(asked) = page.asked() {
            let key = asked.1.as_str().to_owned();
            let first = self.ordered.entry(asked).or_insert_with(|| payment.id.clone()).clone();
            if first != payment.id {
                self.breach("I-19", format!("{key} made {first} and {}", payment.id));
            }
        }
        let Some(charge) = self.books.get_mut(&payment.reference).filter(|_| payment.opened().is_some()) else {
            return;
        };
        let known = std::mem::replace(&mut charge.told_where, true);
        if known || !matches!(payment.status, PaymentStatus::Pending { .. }) {
            return;
        }
        let reference = payment.reference.clone();
        let paying = self.rng.one_of(&[MINUTE, 20 * MINUTE, 23 * HOUR, 30 * HOUR]);
        let paying = self.rng.within(MINUTE / 2, paying);
        if self.rng.chance(200) {
            let visit = Happening::Visit { reference: reference.clone(), pays: false };
            self.after(MINUTE / 4, paying, visit);
        }
        if !self.rng.chance(self.faults.customers.walks_away) {
            self.after(paying, paying, Happening::Visit { reference, pays: true });
        }
    }

    /// Somebody asks for some or all of the `left` minor units back, perhaps twice at once.
    pub(crate) fn ask_for_refund(&mut self, reference: &Reference, left: i64) {
        let Some(payment) = self.books.get(reference).map(|charge| charge.payment.clone()) else { return };
        let minor = self.rng.one_of(&[None, Some(1), Some(left / 2 + 1), Some(left)]);
        let times = if self.rng.chance(self.faults.customers.impatience) { 2 } else { 1 };
        let same_key = self.rng.chance(500);
        let Some(mut key) = self.new_key("refund") else { return };
        for _ in 0..times {
            let request = RefundRequest {
                customer: payment.customer.clone(),
                payment: payment.id.clone(),
                portion: minor.map_or(Portion::All, |minor| Portion::Part(Money { minor, ..payment.amount })),
                because: AskedBecause::RequestedByCustomer,
                key: key.clone(),
                fingerprint: format!("{minor:?}"),
            };
            self.soon(Job::Refund { request: Box::new(request), tries: 0 });
            if !same_key {
                let Some(other) = self.new_key("refund") else { return };
                key = other;
            }
        }
    }

    /// The moments in which paths cross: what else happens as a charge is made.
    pub(crate) fn race(&mut self, payment: &Payment) {
        if !self.rng.chance(self.faults.races) {
            return;
        }
        let (customer, id) = (payment.customer.clone(), payment.id.clone());
        self.is_used_meanwhile(&customer);
        let job = match self.rng.below(7) {
            0 => {
                // Gone, and perhaps back before the last charge is told of.
                if self.rng.chance(500) {
                    let wait = self.rng.one_of(&[MINUTE, HOUR]);
                    self.order(&customer, 100 + i64::from(payment.id.period), self.now + wait);
                }
                self.command(customer, Command::CancelNow)
            }
            1 => self.command(customer, Command::CancelAtPeriodEnd),
            2 => Job::Verify { customer, payment: id },
            3 => Job::Wake { wanted: Wanted::Payment { customer, payment: id }, received: 0 },
            4 => return self.dispute_meanwhile(payment),
            5 => return self.rearrange(&customer),
            _ => match payment.charged_method() {
                Some(method) => Job::Remove { customer, method: method.id() },
                None => return,
            },
        };
        self.soon(job);
    }

    /// The bank hears of what was paid before.
    fn dispute_meanwhile(&mut self, payment: &Payment) {
        let paid = |other: &&crate::books::Charge| {
            other.taken > 0 && other.payment.id.subscription == payment.id.subscription && !other.payment.is_setup()
        };
        let paid: Vec<Reference> = self.books.values().filter(paid).map(|it| it.payment.reference.clone()).collect();
        for reference in paid {
            self.after(0, 2 * SECOND, Happening::Afterwards(reference, Afterwards::Disputed));
        }
    }

    /// While a charge is on its way, or lost on it, the customer leaves or takes
    /// the method away, and where clocks jump, they jump now.
    pub(crate) fn race_on_the_way(&mut self, errand: &Errand) {
        let Errand::Charge(payment) = errand else { return };
        if !self.rng.chance(self.faults.races) {
            return;
        }
        let customer = payment.customer.clone();
        let job = match payment.charged_method().filter(|_| self.rng.chance(500)) {
            Some(method) => Job::Remove { customer, method: method.id() },
            None => self.command(customer, Command::CancelNow),
        };
        self.after(0, 2 * MINUTE, Happening::Start(job));
        if let Some((_, _, by)) = self.faults.jumps.first().copied() {
            let by = self.rng.one_of(&[by, 2 * DAY]);
            self.faults.jumps.push((self.now + MINUTE, self.now + 3 * HOUR, by));
        }
    }

    /// As a refund is made, another worker is at it, and somebody asks for one more.
    pub(crate) fn race_refund(&mut self, payment: &Payment) {
        if !self.rng.chance(self.faults.races) {
            return;
        }
        let (customer, id) = (payment.customer.clone(), payment.id.clone());
        match self.rng.below(3) {
            0 => self.soon(Job::Wake { wanted: Wanted::Payment { customer, payment: id }, received: 0 }),
            1 => self.soon(Job::Verify { customer, payment: id }),
            _ => self.ask_for_refund(&payment.reference, 1),
        }
    }

    /// Back from the page, the browser asks, once or twice at once.
    pub(crate) fn come_back(&mut self, payment: &Payment) {
        for _ in 0..self.rng.below(3) {
            let job = Job::Verify { customer: payment.customer.clone(), payment: payment.id.clone() };
            self.soon(job);
        }
    }
}

/// Or, of an add-on: more of it, or fewer.
fn perhaps_of_addon(wish: Wish, aside: &mut Rng) -> Wish {
    if !aside.chance(250) {
        return wish;
    }
    let (action, quantity) = aside.one_of(&[
        (Action::AddAddon, Some(1)),
        (Action::AddAddon, Some(2)),
        (Action::AddAddon, Some(5)),
        (Action::RemoveAddon, None),
        (Action::RemoveAddon, Some(1)),
    ]);
    let addon = AddonId::try_from("crew".to_owned()).ok();
    Wish { action, addon, quantity, plan: None, interval: None, ..wish }
}
