//! Who looks first is shown what they get: it costs that, and is done when it said, or not at all.

use crate::faults::{DAY, MINUTE, SECOND};
use crate::jobs::{Job, Looked, Shown};
use crate::world::{Happening, State};
use billing::id::IdempotencyKey;
use billing::subscription::{Command, PreviewId, Status, Subscription};
use billing::workflow::{Changed, Subscribe, Wish};

impl State {
    /// What was shown is wanted, at once or when it may not hold any more.
    pub(crate) fn saw(&mut self, of: Looked, key: IdempotencyKey, shown: Shown) {
        let (id, tries) = (Some(shown.id.clone()), 0);
        self.shown.insert(shown.id.to_string(), shown);
        let job = match of {
            Looked::Change(wish) => Job::Change { wish: Box::new(Wish { preview: id, ..*wish }), key, tries },
            Looked::Subscribe(it) => Job::Subscribe { wanted: Box::new(Subscribe { preview: id, ..*it }), key, tries },
            Looked::Request(customer, command) => Job::Request { customer, command, shown: id, key },
        };
        let wait = self.rng.aside().one_of(&[SECOND, 10 * MINUTE, 14 * MINUTE, 16 * MINUTE, DAY]);
        self.at(self.now + wait, Happening::Start(job));
    }

    /// To the minor unit.
    pub(crate) fn costs_what_was_shown(&mut self, id: Option<&PreviewId>, changed: &Changed) {
        let Some(shown) = id.and_then(|id| self.shown.get(&id.to_string())).cloned() else { return };
        self.happened.insert("done as it was shown");
        let cost = changed.payment.as_ref().map_or(0, |it| it.amount.minor);
        if shown.due_now.minor != cost {
            self.breach("P-8", format!("{shown:?} is done for {cost}"));
        }
    }

    /// What is to end then ends then, and with the period that was at hand when it was shown.
    pub(crate) fn is_done_as_shown(&mut self, task: u64, command: Command, id: &PreviewId, it: &Subscription) {
        let Some(shown) = self.shown.get(&id.to_string()).cloned() else { return };
        // Else it was done before, and what has become of it since is another matter.
        if self.tasks.get(&task).is_none_or(|notes| notes.commits == 0) {
            return;
        }
        self.happened.insert("requested as it was shown");
        let end = match (command, &it.status) {
            (Command::CancelAtPeriodEnd | Command::PauseAtPeriodEnd, Status::Active { .. }) => {
                it.period().map(|period| period.end)
            }
            _ => return,
        };
        if end != Some(shown.at) {
            self.breach("P-8", format!("{shown:?} is done, and ends {end:?}"));
        }
    }
}
