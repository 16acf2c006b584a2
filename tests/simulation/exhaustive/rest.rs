//! What becomes of a world in which every process has ended: all that is due is
//! done, whenever it is, and nothing goes wrong any more.

use crate::contract::{self, Checked, answered, at_rest, check};
use crate::process::{Job, Process, Stage, delivery};
use crate::search::Scene;
use crate::world::{Course, World};
use billing::ports::{Key, Record};
use jiff::{SignedDuration, Timestamp};

/// How long everything has to come to rest: less than the next period.
const REST: SignedDuration = SignedDuration::from_hours(25 * 24);

/// What is due more often than this within that time stays due for ever.
const MOST_WAKES: u32 = 200;

/// Whether what the gateway tells of is told (again), or lost, and whether the bank takes new charges, or does not.
pub(crate) fn comes_to_rest(world: &World, scene: &Scene, over_at: Timestamp) -> Checked {
    let untold = |job: &Job| match job {
        Job::Webhook(number) => world.get(Key::Delivery(delivery(*number))).delivery().is_none(),
        Job::Wake(_) | Job::Verify | Job::Request(_) => false,
    };
    let untold = scene.jobs.iter().map(|(job, _)| job).filter(|job| untold(job));
    let told = untold.map(|job| Process::new(job.clone(), over_at)).filter(|it| it.may_begin(world));
    let told: Vec<Process> = told.collect();
    for declines in [false, true] {
        rest(world.copy(), vec![], declines, over_at)?;
        rest(world.copy(), told.clone(), declines, over_at)?;
    }
    Ok(())
}

fn rest(world: World, told: Vec<Process>, declines: bool, over_at: Timestamp) -> Checked {
    if declines {
        world.decline_all();
    }
    told.into_iter().try_for_each(|process| finish(&world, process))?;
    let (mut now, end) = (over_at, over_at + REST);
    for _ in 0..MOST_WAKES {
        let due = world.records().iter().filter_map(Record::due).map(|(_, at, wanted)| (at, wanted)).min();
        let Some((at, wanted)) = due.filter(|(at, _)| *at < end) else { return at_rest(&world, end) };
        now = now.max(at);
        finish(&world, Process::new(Job::Wake(wanted), now))?;
    }
    check(false, "I-23", || "something stays due for ever".to_owned())
}

/// Runs a process that nothing goes wrong with.
fn finish(world: &World, mut process: Process) -> Checked {
    loop {
        match &process.stage {
            Stage::Asks(call) => {
                process = process.given(contract::make(world, call, Course::Answered, process.knows_canceled)?);
            }
            Stage::Ended(Ok(())) => return answered(world, &process),
            Stage::Ended(Err(error)) => {
                return check(false, "I-23", || format!("{} fails, and all is well: {error}", process.job.told()));
            }
        }
    }
}
