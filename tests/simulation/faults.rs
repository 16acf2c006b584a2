//! What goes wrong in one seed.
//!
//! Each seed draws its own set of faults and their size. Were every fault on in
//! every seed, the redundant paths would hide each other's bugs: a lost webhook
//! is found by asking, and what asking misses the webhook tells.

use crate::deployment::Deployment;
use crate::rng::Rng;
use billing::payment::Gateway;

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// Chances are out of a thousand, times in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// A process ends at one of its awaits.
    pub(crate) crash: u32,
    pub(crate) store: StoreFaults,
    /// Those that this seed's customers use.
    pub(crate) in_use: Vec<Gateway>,
    /// In the order of `Gateway::ALL`.
    pub(crate) gateways: [GatewayFaults; 4],
    pub(crate) webhooks: WebhookFaults,
    pub(crate) queue: QueueFaults,
    pub(crate) mails: MailFaults,
    pub(crate) customers: CustomerFaults,
    pub(crate) aftermath: AftermathFaults,
    /// How far each worker's clock is off.
    pub(crate) skews: [i64; 4],
    /// From, until, and by how much every clock is off meanwhile.
    pub(crate) jumps: Vec<(i64, i64, i64)>,
    /// Whether no clock is ever off: only then can times be held against each other.
    pub(crate) clocks_right: bool,
    /// Something else is started in the same instant as a charge reaches a gateway.
    pub(crate) races: u32,
    /// A new release comes out.
    pub(crate) deployment: Option<Deployment>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct StoreFaults {
    pub(crate) read_fails: u32,
    pub(crate) commit_refused: u32,
    pub(crate) answer_lost: u32,
    pub(crate) spurious_conflict: u32,
    /// What is read at once is not as of one moment.
    pub(crate) torn: u32,
    /// The due index still names what is done, or does not name yet what is due.
    pub(crate) stale_index: u32,
    pub(crate) outages: Vec<(i64, i64)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct GatewayFaults {
    pub(crate) request_lost: u32,
    pub(crate) answer_lost: u32,
    /// The request is answered by silence and takes effect up to 40 minutes later.
    pub(crate) late_effect: u32,
    pub(crate) rejected: u32,
    /// The request or its answer is under way until the process is nearly killed, or is.
    pub(crate) stalled: u32,
    /// A charge is made, 500 is answered, and the same key gets the same 500 for a day.
    pub(crate) stored_500: u32,
    pub(crate) wrong_amount: u32,
    /// A charge or payment takes hours or days to become final.
    pub(crate) slow_to_end: u32,
    pub(crate) slow_refund: u32,
    pub(crate) refund_fails: u32,
    /// A declined charge turns out to have been made.
    pub(crate) change_of_mind: u32,
    pub(crate) outages: Vec<(i64, i64)>,
    /// When this deployment has no keys for it.
    pub(crate) keys_missing: Vec<(i64, i64)>,
    /// How long a charge stays out of what a lookup lists.
    pub(crate) listing_lag: i64,
    /// How long after a page was paid the gateway names the method.
    pub(crate) method_lag: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct WebhookFaults {
    pub(crate) lost: u32,
    pub(crate) doubled: u32,
    pub(crate) replayed: u32,
    pub(crate) unknown: u32,
    pub(crate) latest: i64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct QueueFaults {
    pub(crate) dropped: u32,
    pub(crate) doubled: u32,
    pub(crate) latest: i64,
    pub(crate) unavailable: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct MailFaults {
    pub(crate) request_lost: u32,
    pub(crate) answer_lost: u32,
    pub(crate) refused: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct CustomerFaults {
    pub(crate) declined_soft: u32,
    pub(crate) declined_hard: u32,
    /// Requests are made twice at once, under one key or several.
    pub(crate) impatience: u32,
    pub(crate) walks_away: u32,
    pub(crate) commands: usize,
    /// How often methods are set up, preferred or removed.
    pub(crate) rearrangements: usize,
    /// How often what was bought is changed.
    pub(crate) changes: usize,
    /// Who subscribes without a page.
    pub(crate) subscribes: u32,
    /// Whose subscription ran elsewhere, and is taken over.
    pub(crate) ran_elsewhere: u32,
    /// How often somebody of the SaaS has a say in it.
    pub(crate) interventions: usize,
    /// Everybody has been sent one code, and names it whatever they buy.
    pub(crate) one_code: bool,
    /// The greater plan is sold by the seat.
    pub(crate) by_the_seat: bool,
    /// How often it is reported what a customer used, and how likely it is as a period ends.
    pub(crate) reports: usize,
    pub(crate) uses: u32,
    /// Who owes opens a page to pay.
    pub(crate) comes_back: u32,
    /// Who is asked to authenticate a charge does so, hours or days later.
    pub(crate) authenticates: u32,
}

/// What becomes of money after it was taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct AftermathFaults {
    pub(crate) disputed: u32,
    /// Somebody gives money back on the gateway's own pages.
    pub(crate) by_hand: u32,
    /// Somebody of the SaaS asks us to give it back.
    pub(crate) asked_for: u32,
}

impl Faults {
    /// The faults of a seed whose story lasts from `start` to `end`.
    pub(crate) fn drawn(rng: &mut Rng, start: i64, end: i64) -> Self {
        let skewed = rng.chance(300);
        let skew = |rng: &mut Rng| if skewed { rng.within(-DAY, DAY) } else { 0 };
        let jumping = rng.chance(200);
        let jump = |rng: &mut Rng| {
            let (from, off) = (rng.within(start, end), rng.one_of(&[-2 * DAY, -DAY, DAY, 2 * DAY]));
            (from, from + rng.within(HOUR, 3 * DAY), off)
        };
        let webhooks = WebhookFaults {
            lost: rng.one_of(&[0, 0, 60, 1000]),
            doubled: level(rng, &[100, 500]),
            replayed: level(rng, &[100, 400]),
            unknown: level(rng, &[100]),
            latest: rng.one_of(&[5 * SECOND, MINUTE, HOUR, 12 * HOUR]),
        };
        // Only a clock that is about right tells when a gateway has forgotten a key; and only
        // webhooks that arrive tell of what happens after the last question was asked.
        let (clocks_right, all_told) = (!skewed && !jumping, webhooks.lost == 0);
        let gateway = |rng: &mut Rng| GatewayFaults::drawn(rng, start, end, clocks_right, all_told);
        let mut aside = rng.aside();
        let (reports, torn) = (aside.one_of(&[0, 0, 3, 12]), level(&mut aside, &[100, 500]));
        Self {
            crash: level(rng, &[20, 100, 300]),
            store: StoreFaults {
                read_fails: level(rng, &[10, 50]),
                commit_refused: level(rng, &[20, 100]),
                answer_lost: level(rng, &[20, 100, 300]),
                spurious_conflict: level(rng, &[20, 200]),
                torn,
                stale_index: level(rng, &[50, 300]),
                outages: outages(rng, start, end, HOUR),
            },
            in_use: in_use(rng),
            gateways: [gateway(rng), gateway(rng), gateway(rng), gateway(rng)],
            webhooks,
            queue: QueueFaults {
                dropped: level(rng, &[30, 300]),
                doubled: level(rng, &[50, 300]),
                latest: rng.one_of(&[SECOND, SECOND, 15 * MINUTE, 6 * HOUR]),
                unavailable: level(rng, &[50]),
            },
            mails: MailFaults {
                request_lost: level(rng, &[200, 900]),
                answer_lost: level(rng, &[200, 900]),
                refused: level(rng, &[300]),
            },
            customers: CustomerFaults {
                declined_soft: rng.one_of(&[0, 50, 300, 900]),
                declined_hard: rng.one_of(&[0, 0, 50, 200]),
                impatience: rng.one_of(&[0, 200, 700]),
                walks_away: rng.one_of(&[0, 100, 300]),
                commands: rng.one_of(&[0, 1, 4, 12]),
                rearrangements: rng.one_of(&[0, 1, 4, 10]),
                changes: rng.one_of(&[0, 0, 2, 8]),
                subscribes: rng.one_of(&[0, 300, 1_000]),
                ran_elsewhere: rng.one_of(&[0, 0, 400, 1_000]),
                interventions: rng.one_of(&[0, 0, 1, 5]),
                by_the_seat: aside.chance(300),
                one_code: aside.chance(50),
                reports,
                uses: if reports > 0 { 500 } else { 0 },
                comes_back: rng.one_of(&[0, 300, 900]),
                authenticates: rng.one_of(&[0, 300]),
            },
            aftermath: AftermathFaults {
                disputed: level(rng, &[100, 600]),
                by_hand: level(rng, &[50, 200]),
                asked_for: level(rng, &[100, 400]),
            },
            skews: [skew(rng), skew(rng), skew(rng), skew(rng)],
            jumps: if jumping { (0..rng.within(1, 3)).map(|_| jump(rng)).collect() } else { vec![] },
            clocks_right,
            races: level(rng, &[100, 500]),
            deployment: Deployment::drawn(&mut rng.aside(), start, end),
        }
    }

    /// Nothing goes wrong any more; people's cards are still what they are, and the new release is out.
    pub(crate) fn end(&mut self) {
        let customers = CustomerFaults {
            declined_soft: self.customers.declined_soft,
            declined_hard: self.customers.declined_hard,
            ..CustomerFaults::default()
        };
        let (in_use, clocks_right) = (std::mem::take(&mut self.in_use), self.clocks_right);
        let deployment = self.deployment.take();
        *self = Self { customers, in_use, clocks_right, deployment, ..Self::default() };
    }

    pub(crate) fn of(&self, gateway: Gateway) -> &GatewayFaults {
        match gateway {
            Gateway::Stripe => &self.gateways[0],
            Gateway::Paystack => &self.gateways[1],
            Gateway::Flitt => &self.gateways[2],
            Gateway::PayPal => &self.gateways[3],
        }
    }

    /// How far off the clock of `worker` is at `now`.
    pub(crate) fn off(&self, worker: usize, now: i64) -> i64 {
        let jumps: i64 =
            self.jumps.iter().filter(|(from, until, _)| (*from..*until).contains(&now)).map(|(_, _, by)| by).sum();
        self.skews[worker % self.skews.len()] + jumps.clamp(-2 * DAY, 2 * DAY)
    }
}

impl GatewayFaults {
    fn drawn(rng: &mut Rng, start: i64, end: i64, clocks_right: bool, all_told: bool) -> Self {
        let longest = rng.one_of(&[30 * MINUTE, 6 * HOUR, 4 * DAY]);
        let lag = rng.one_of(&[0, 0, 0, HOUR, 30 * HOUR]);
        Self {
            request_lost: level(rng, &[30, 200, 800]),
            answer_lost: level(rng, &[30, 200, 800]),
            late_effect: level(rng, &[30, 200, 800]),
            rejected: level(rng, &[20]),
            stalled: level(rng, &[50, 300]),
            stored_500: level(rng, &[50, 300]),
            wrong_amount: level(rng, &[20, 150]),
            slow_to_end: level(rng, &[50, 300]),
            slow_refund: level(rng, &[300]),
            refund_fails: level(rng, &[100, 500]),
            change_of_mind: if all_told { level(rng, &[30, 300]) } else { 0 },
            outages: outages(rng, start, end, longest),
            keys_missing: if rng.chance(100) { outages(rng, start, end, 2 * DAY) } else { vec![] },
            listing_lag: if clocks_right { lag } else { 0 },
            method_lag: rng.one_of(&[0, 0, 0, MINUTE, DAY]),
        }
    }
}

fn in_use(rng: &mut Rng) -> Vec<Gateway> {
    use Gateway::{Flitt, PayPal, Paystack, Stripe};
    let sets: [&[Gateway]; 8] = [
        &[Stripe],
        &[Paystack],
        &[Stripe, Paystack],
        &[Stripe, PayPal],
        &[Paystack, Flitt],
        &[PayPal, Flitt],
        &[Stripe, Paystack, PayPal],
        &Gateway::ALL,
    ];
    sets[rng.below(sets.len())].to_vec()
}

/// Absent in most seeds, else one of `sizes`.
fn level(rng: &mut Rng, sizes: &[u32]) -> u32 {
    if rng.chance(350) { rng.one_of(sizes) } else { 0 }
}

fn outages(rng: &mut Rng, start: i64, end: i64, longest: i64) -> Vec<(i64, i64)> {
    let count = if rng.chance(300) { rng.within(1, 6) } else { 0 };
    let mut outage = || {
        let from = rng.within(start, end);
        (from, from + rng.within(MINUTE, longest))
    };
    (0..count).map(|_| outage()).collect()
}

pub(crate) fn is_out(outages: &[(i64, i64)], now: i64) -> bool {
    outages.iter().any(|(from, until)| (*from..*until).contains(&now))
}
