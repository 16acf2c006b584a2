//! One invocation of a function, as far as it has come.

use crate::ports::Port;
use crate::world::{Answer, Call, Course, GATEWAY, World, digest, renewal};
use billing::delivery::{DeliveryId, Notice};
use billing::ports::{Key, Record, Wanted};
use billing::subscription::{Command, Status};
use billing::testing::{customer, idempotency_key};
use billing::workflow::Billing;
use jiff::Timestamp;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a process is started for.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Wake(Wanted),
    /// The gateway tells of the renewal; the number is the event's.
    Webhook(u32),
    /// The customer asks what became of the renewal.
    Verify,
    Request(Command),
}

#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) job: Job,
    now: Timestamp,
    answers: Vec<Arc<Answer>>,
    pub(crate) stage: Stage,
    /// Of its answers: equal for processes of one job that will do the same.
    pub(crate) digest: u64,
    /// When it last read the subscription, that was canceled.
    pub(crate) knows_canceled: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Asks(Box<Call>),
    Ended(Result<(), String>),
}

impl Process {
    pub(crate) fn new(job: Job, now: Timestamp) -> Self {
        let stage = resumed(&job, now, &[]);
        Self { job, now, answers: vec![], stage, digest: 0, knows_canceled: false }
    }

    pub(crate) fn has_begun(&self) -> bool {
        !self.answers.is_empty()
    }

    /// Whether there is a reason to start it.
    pub(crate) fn may_begin(&self, world: &World) -> bool {
        let payment = || world.get(Key::Payment(customer(), renewal())).payment();
        match &self.job {
            Job::Webhook(_) => payment().is_some_and(|it| world.charge_of(&it).is_some()),
            Job::Verify | Job::Wake(Wanted::Payment { .. }) => payment().is_some(),
            Job::Wake(_) | Job::Request(_) => true,
        }
    }

    /// What it asks for, and how that goes, in a line.
    pub(crate) fn told(&self, course: Course) -> String {
        let call = if let Stage::Asks(call) = &self.stage { call.told() } else { String::new() };
        format!("{:<20} {:<16} {call}", self.job.told(), format!("{course:?}"))
    }

    #[must_use]
    pub(crate) fn given(&self, answer: Answer) -> Self {
        let canceled = |record: &Record| match record {
            Record::Subscription(it) => Some(matches!(it.status, Status::Canceled { .. })),
            _ => None,
        };
        let told = match &answer {
            Answer::Found(found) => found.records().iter().find_map(canceled),
            _ => None,
        };
        let knows_canceled = told.unwrap_or(self.knows_canceled);
        let digest = digest(&(self.digest, &answer));
        let mut answers = self.answers.clone();
        answers.push(Arc::new(answer));
        let stage = resumed(&self.job, self.now, &answers);
        Self { job: self.job.clone(), now: self.now, answers, stage, digest, knows_canceled }
    }
}

/// Where a process comes that is given those `answers`.
fn resumed(job: &Job, now: Timestamp, answers: &[Arc<Answer>]) -> Stage {
    let port = Port::new(answers, now);
    let mut future = job.clone().future(port.clone());
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ended) => Stage::Ended(ended),
        Poll::Pending => match port.call() {
            Some(call) => Stage::Asks(Box::new(call)),
            None => panic!("{job:?} waits for nothing"),
        },
    }
}

impl Job {
    fn future(self, port: Port) -> Pin<Box<dyn Future<Output = Result<(), String>>>> {
        let billing = Billing::new(port.clone(), port.clone(), port.clone());
        match self {
            Self::Wake(Wanted::Mail { mail }) => {
                Box::pin(async move { billing.send_mail(&mail, &port).await.map_err(|error| error.to_string()) })
            }
            Self::Wake(wanted) => {
                Box::pin(async move { billing.wake(wanted).await.map_err(|error| error.to_string()) })
            }
            Self::Webhook(number) => {
                Box::pin(async move { billing.receive(notice(number)).await.map_err(|error| error.to_string()) })
            }
            Self::Verify => Box::pin(async move {
                billing.verify(&customer(), &renewal()).await.map(drop).map_err(|error| error.to_string())
            }),
            Self::Request(command) => Box::pin(async move {
                billing
                    .request(&customer(), command, None, &idempotency_key("cancel"), "cancel")
                    .await
                    .map(drop)
                    .map_err(|error| error.to_string())
            }),
        }
    }

    pub(crate) fn told(&self) -> String {
        match self {
            Self::Wake(Wanted::Payment { payment, .. }) => format!("check of {payment}"),
            Self::Wake(Wanted::Subscription { .. }) => "renewal".to_owned(),
            Self::Wake(other) => format!("{other:?}"),
            Self::Webhook(number) => format!("webhook {number}"),
            Self::Verify => "verify".to_owned(),
            Self::Request(command) => format!("{command:?}"),
        }
    }
}

pub(crate) fn delivery(number: u32) -> DeliveryId {
    DeliveryId { gateway: GATEWAY, event: format!("evt_{number}") }
}

/// It says nothing of the outcome: whoever acts on it looks for that.
fn notice(number: u32) -> Notice {
    Notice {
        id: delivery(number),
        kind: "charge".to_owned(),
        reference: Some(renewal().reference(&customer())),
        object: None,
        body: String::new(),
    }
}
