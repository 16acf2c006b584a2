//! Random sequences of requests: both stores answer each the same.

use super::sorted;
use crate::samples::payments::{paid, payment, payment_id};
use crate::samples::{
    account, active, claim, customer, delivery, later, leaving, mail, meter_name, past_due, stored_plan, tokens, usage,
    wallet,
};
use billing::account::VirtualAccount;
use billing::outcome::{Decline, Remedy};
use billing::payment::{Paid, Payment, PaymentStatus};
use billing::ports::{Lane, Record, Referred, Store, StoreError, StoredFamily, TestClock, Wanted, Write};
use billing::subscription::{Event, Subscription};
use billing::testing::{MemoryStore, family, plan};
use billing::wallet::Wallet;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use tests::embedded::Embedded;

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(Subject, Content, Way)>),
    Get(BTreeSet<Subject>),
    Live(usize),
    Payments { of: usize, before: Option<usize>, limit: u32 },
    Due { lane: Lane, seconds: i64 },
    Catalogue,
}

/// Which record.
type Subject = usize;

/// One of a few things it may say.
type Content = u8;

/// How it is written.
#[derive(Clone, Copy, Debug)]
enum Way {
    Create,
    /// As it was at a version.
    Replace(u64),
    /// It is a balance, whosever the subject is, and so many tokens are taken from it.
    Consume(NonZeroU32),
}

/// What a step was answered.
#[derive(Debug, PartialEq)]
enum Told {
    Records(Vec<Record>),
    Payments(Vec<Payment>),
    Due(BTreeSet<(Timestamp, Wanted)>),
    Done,
    Duplicate,
    Conflict,
    Unavailable,
}

const CUSTOMERS: [&str; 2] = ["acme", "auth0|acme"];
const AGES: [(u32, u32, u32); 6] = [(0, 1, 1), (1, 0, 1), (1, 9, 1), (1, 10, 1), (1, 10, 2), (2, 0, 1)];
const OF_CUSTOMER: usize = 7 + AGES.len();
const SUBJECTS: usize = CUSTOMERS.len() * OF_CUSTOMER + 8;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let few = (1_u32..90).prop_filter_map("not none", NonZeroU32::new);
    let way =
        prop_oneof![5 => Just(Way::Create), 4 => (0_u64..3).prop_map(Way::Replace), 1 => few.prop_map(Way::Consume)];
    // A few records are met often: else nothing ever exists already.
    let subject = prop_oneof![4 => 0..4_usize, 2 => 4..OF_CUSTOMER, 1 => OF_CUSTOMER..SUBJECTS];
    let write = (subject.clone(), any::<Content>(), way);
    let step = prop_oneof![
        6 => vec(write, 0..4).prop_map(Step::Commit),
        2 => proptest::collection::btree_set(subject, 0..6).prop_map(Step::Get),
        1 => (0..CUSTOMERS.len()).prop_map(Step::Live),
        2 => (0..CUSTOMERS.len(), proptest::option::of(0..AGES.len()), 0_u32..4)
            .prop_map(|(of, before, limit)| Step::Payments { of, before, limit }),
        2 => (proptest::sample::select(Lane::ALL.to_vec()), -1_i64..4)
            .prop_map(|(lane, seconds)| Step::Due { lane, seconds }),
        1 => Just(Step::Catalogue),
    ];
    vec(step, 1..30)
}

/// The record that `subject` names, at `version`, saying one of a few things.
fn record(subject: Subject, content: Content, version: u64) -> Record {
    if let Some(shared) = subject.checked_sub(CUSTOMERS.len() * OF_CUSTOMER) {
        return shared_record(shared, content, version);
    }
    let of = customer(CUSTOMERS[subject / OF_CUSTOMER]);
    let (number, seconds) = (u64::from(content), i64::from(content % 3));
    match subject % OF_CUSTOMER {
        0 => Record::Subscription(match content % 3 {
            0 => Subscription { version, ..active(&of) },
            _ => Subscription { version, ..past_due(&of, later(seconds)) },
        }),
        1 => Record::Tokens(billing::token::Tokens { version, ..tokens(&of, number) }),
        2 => Record::Usage(billing::usage::MeterUsage { version, ..usage(&of, "estates", number) }),
        3 => Record::Claim(claim(&of, "k")),
        4 if content.is_multiple_of(2) => Record::Wallet(Wallet { version, ..leaving(&of, &[9, seconds]) }),
        4 => Record::Wallet(Wallet { version, ..wallet(&of) }),
        5 => Record::Account(VirtualAccount { version, ..account(&of, seconds) }),
        6 => {
            let subscription = billing::id::SubscriptionId::nth(&of, 1);
            Record::History { customer: of, subscription, version: 2, index: 0, event: Event::CancellationScheduled }
        }
        payment_of => {
            let (number, period, attempt) = AGES[payment_of - 7];
            let payment = Payment { version, ..payment(&of, number, period, attempt) };
            let check_at = Some(later(seconds));
            let status = match content % 4 {
                3 => PaymentStatus::Expired { at: later(0) },
                2 => PaymentStatus::Paid(Paid { look_at: check_at, ..paid() }),
                _ => PaymentStatus::Failed { decline: Decline::new("c", Remedy::RetryLater), check_at, tries: 1 },
            };
            Record::Payment(Payment { status, ..payment })
        }
    }
}

fn shared_record(subject: Subject, content: Content, version: u64) -> Record {
    let plan = |name: &str| billing::catalog::Plan { recommended: content.is_multiple_of(2), ..plan(name) };
    match subject {
        0 => Record::Reference(Referred::to(&payment(&customer("acme"), 1, 0, 1))),
        1 if content.is_multiple_of(2) => {
            Record::Delivery(billing::delivery::Delivery { version, ..delivery("e#1").waiting(later(-300)) })
        }
        1 => Record::Delivery(billing::delivery::Delivery { version, ..delivery("e#1") }),
        2 => Record::Family(StoredFamily { family: family("crm"), coupons: [].into(), version }),
        3 => {
            let stored = stored_plan("crm-basic", version);
            Record::Plan(billing::ports::StoredPlan { plan: plan("crm-basic"), ..stored })
        }
        4 => Record::PlanVersion(plan("crm-basic")),
        6 => Record::Mail(billing::mail::Mail { version, ..mail(&customer("acme"), i64::from(content % 3)) }),
        5 => Record::Meter(billing::ports::MeterName { version, ..meter_name("estates") }),
        _ => Record::TestClock(TestClock { ahead_s: i64::from(content), version, ..TestClock::default() }),
    }
}

fn write((subject, content, way): (Subject, Content, Way)) -> Write {
    match way {
        Way::Create => Write::Create(record(subject, content, 1)),
        Way::Replace(seen) => match record(subject, content, seen + 1) {
            // What is never replaced is only created.
            fixed if fixed.version().is_none() => Write::Create(fixed),
            record => Write::Replace { record, seen },
        },
        Way::Consume(tokens) => Write::Consume { customer: customer(CUSTOMERS[subject % CUSTOMERS.len()]), tokens },
    }
}

async fn answer(store: &impl Store, step: Step) -> Told {
    let told = match step {
        Step::Commit(writes) => store.commit(writes.into_iter().map(write).collect()).await.map(|()| Told::Done),
        Step::Get(subjects) => {
            let keys = subjects.into_iter().map(|subject| record(subject, 0, 1).key()).collect();
            store.get(keys).await.map(|found| Told::Records(sorted(found.records())))
        }
        Step::Live(of) => {
            store.live(&customer(CUSTOMERS[of])).await.map(|found| Told::Records(sorted(found.records())))
        }
        Step::Payments { of, before, limit } => {
            let of = customer(CUSTOMERS[of]);
            let before =
                before.map(|at| AGES[at]).map(|(number, period, attempt)| payment_id(&of, number, period, attempt));
            store.payments(&of, before.as_ref(), limit).await.map(Told::Payments)
        }
        Step::Due { lane, seconds } => {
            store.due(lane, later(seconds), 1_000).await.map(|due| Told::Due(due.into_iter().collect()))
        }
        Step::Catalogue => store.catalogue().await.map(|found| Told::Records(sorted(found.records()))),
    };
    told.unwrap_or_else(|error| match error {
        StoreError::Duplicate => Told::Duplicate,
        StoreError::Conflict => Told::Conflict,
        StoreError::Unavailable(_) => Told::Unavailable,
    })
}

#[test]
fn both_stores_answer_every_sequence_alike() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let config = Config { cases: 200, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[41; 32]);
    let seen = std::cell::RefCell::new([0_u32; 3]);
    let outcome = TestRunner::new_with_rng(config, rng).run(&steps(), |steps| {
        let (memory, embedded) = (MemoryStore::default(), Embedded::new());
        let table = embedded.table();
        for (at, step) in steps.iter().enumerate() {
            let (expected, told) =
                runtime.block_on(async { (answer(&memory, step.clone()).await, answer(&table, step.clone()).await) });
            if told != expected {
                return Err(TestCaseError::fail(format!("step {at}: {told:?}, and in memory {expected:?}")));
            }
            match told {
                Told::Done => seen.borrow_mut()[0] += 1,
                Told::Duplicate => seen.borrow_mut()[1] += 1,
                Told::Conflict => seen.borrow_mut()[2] += 1,
                Told::Records(_) | Told::Payments(_) | Told::Due(_) | Told::Unavailable => {}
            }
        }
        Ok(())
    });
    outcome.expect("the same answers");
    let [done, duplicates, conflicts] = seen.into_inner();
    println!("{done} commits done, {duplicates} duplicates, {conflicts} conflicts");
    assert!(done.min(duplicates).min(conflicts) > 50, "the sequences meet too little");
}
