//! Every order in which the processes of a scene can make their calls, and
//! every way in which each call can go, breadth first.
//!
//! What happens next depends on the world and on what each process was
//! answered, so a state that was reached before is not looked at again, and a
//! call is made once for all states that have its world and its process in
//! common. In every world, too, all that is due is done, as if every process
//! had ended there.

use crate::contract::{self, Breach};
use crate::process::{Job, Process, Stage};
use crate::rest::comes_to_rest;
use crate::world::{Call, Course, World, renewal};
use billing::ports::Wanted;
use billing::subscription::Command;
use billing::testing::customer;
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

const MOST_PROCESSES: usize = 5;

/// A process that has ended, in whichever way.
const GONE: u32 = 0;

/// Who is about the renewal, and how much may go wrong with us besides what goes wrong at the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// Each with how late by its clock the period is over.
    pub(crate) jobs: Vec<(Job, SignedDuration)>,
    /// Processes that end midway, and commits whose answer is lost or that are refused for nothing.
    pub(crate) mishaps: usize,
}

impl Scene {
    /// The worker, the webhook, the customer who asks and who cancels, and the check that the sweeper wakes.
    pub(crate) fn of(command: Command, mishaps: usize) -> Self {
        let minutes = SignedDuration::from_mins;
        let check = Job::Wake(Wanted::Payment { customer: customer(), payment: renewal() });
        let jobs = vec![
            (Job::Wake(Wanted::Subscription { customer: customer() }), minutes(0)),
            (Job::Webhook(1), minutes(1)),
            (Job::Verify, minutes(2)),
            (Job::Request(command), minutes(3)),
            (check, minutes(10)),
        ];
        Self { jobs, mishaps }
    }
}

/// The world, and where each process is: their numbers in the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    world: u32,
    processes: [u32; MOST_PROCESSES],
}

/// A state as it was first reached.
#[derive(Clone, Copy, Debug)]
struct Reached {
    state: State,
    /// From which, whose call it was, and how that went.
    by: Option<(u32, Step)>,
}

type Step = (u8, Course);

/// What the next call of a process can lead to.
#[derive(Debug, Default)]
struct Moves {
    /// Whenever it is made, it is answered the same, and changes nothing.
    is_settled: bool,
    list: Vec<Move>,
}

/// What a call that goes so leads to.
#[derive(Clone, Copy, Debug)]
struct Move {
    course: Course,
    is_mishap: bool,
    world: u32,
    process: u32,
}

/// A breach of the contract, and whose call it was, if it was one.
type Found = (Breach, Option<Step>);

#[derive(Debug)]
pub(crate) struct Search {
    scene: Scene,
    over_at: Timestamp,
    worlds: Vec<World>,
    world_numbers: HashMap<u64, u32>,
    /// Each with its place in the scene.
    processes: Vec<Option<(usize, Process)>>,
    process_numbers: HashMap<(usize, u64), u32>,
    moves: HashMap<(u32, u32), Rc<Moves>, BuildHasherDefault<Mix>>,
    reached: Vec<Reached>,
    steps: usize,
}

impl Search {
    pub(crate) fn new(scene: Scene) -> Self {
        Self {
            scene,
            over_at: Timestamp::UNIX_EPOCH,
            worlds: vec![],
            world_numbers: HashMap::new(),
            processes: vec![None],
            process_numbers: HashMap::new(),
            moves: HashMap::default(),
            reached: vec![],
            steps: 0,
        }
    }

    pub(crate) fn tally(&self) -> String {
        let (states, steps, worlds) = (self.reached.len(), self.steps, self.worlds.len());
        format!("{states} states, {steps} steps, {worlds} worlds brought to rest")
    }

    /// The first breach of the contract, with the steps that lead to it.
    pub(crate) fn run(&mut self) -> Option<(Breach, Vec<String>)> {
        let (breach, mut at, step) = self.explore().err()?;
        let mut steps: Vec<(u32, Step)> = step.map(|step| (at, step)).into_iter().collect();
        while let Some((before, step)) = self.reached_at(at).and_then(|it| it.by) {
            steps.push((before, step));
            at = before;
        }
        let told = |(at, (place, course)): &(u32, Step)| {
            let process = self.reached_at(*at).and_then(|it| self.process(it.state.processes[usize::from(*place)]));
            process.map_or(String::new(), |(_, it)| it.told(*course))
        };
        Some((breach, steps.iter().rev().map(told).collect()))
    }

    fn reached_at(&self, number: u32) -> Option<&Reached> {
        self.reached.get(usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// With as many mishaps left as may be: what is reached with fewer left leads nowhere else.
    fn explore(&mut self) -> Result<(), (Breach, u32, Option<Step>)> {
        let first = self.first().map_err(|(breach, step)| (breach, 0, step))?;
        let mut seen: HashMap<State, usize, BuildHasherDefault<Mix>> = HashMap::default();
        let mut ahead = vec![VecDeque::new(); self.scene.mishaps + 1];
        seen.insert(first, self.scene.mishaps);
        ahead[self.scene.mishaps].push_back(Reached { state: first, by: None });
        for left in (0..=self.scene.mishaps).rev() {
            while let Some(reached) = ahead[left].pop_front() {
                let state = reached.state;
                if seen.get(&state).is_some_and(|before| *before > left) {
                    continue;
                }
                let at = number_of(&self.reached);
                self.reached.push(reached);
                let moves = self.moves_from(state).map_err(|(breach, step)| (breach, at, step))?;
                for (place, made) in moves.iter().flat_map(|(place, moves)| moves.list.iter().map(|it| (*place, it))) {
                    let Some(left) = left.checked_sub(usize::from(made.is_mishap)) else { continue };
                    self.steps += 1;
                    let mut next = State { world: made.world, ..state };
                    next.processes[place] = made.process;
                    let before = seen.get(&next);
                    if before.is_none_or(|before| *before < left) {
                        seen.insert(next, left);
                        let by = Some((at, (u8::try_from(place).unwrap_or(u8::MAX), made.course)));
                        ahead[left].push_back(Reached { state: next, by });
                    }
                }
            }
        }
        Ok(())
    }

    /// What may happen next, and whose call it is. A settled call is made at once: in whichever order it and the
    /// others' calls are made, what they lead to is the same.
    fn moves_from(&mut self, state: State) -> Result<Vec<(usize, Rc<Moves>)>, Found> {
        let mut all = Vec::with_capacity(MOST_PROCESSES);
        for (place, process) in state.processes.into_iter().enumerate().filter(|(_, process)| *process != GONE) {
            let moves = self.moves(state.world, process)?;
            if moves.is_settled {
                return Ok(vec![(place, moves)]);
            }
            all.push((place, moves));
        }
        Ok(all)
    }

    fn first(&mut self) -> Result<State, Found> {
        let (world, over_at) = World::new();
        self.over_at = over_at;
        let world = self.numbered(world).map_err(|breach| (breach, None))?;
        let mut processes = [GONE; MOST_PROCESSES];
        for (place, (job, late)) in self.scene.jobs.clone().into_iter().enumerate() {
            processes[place] = self.placed(place, Process::new(job, over_at + late));
        }
        Ok(State { world, processes })
    }

    fn process(&self, number: u32) -> Option<&(usize, Process)> {
        self.processes.get(usize::try_from(number).unwrap_or(usize::MAX))?.as_ref()
    }

    fn world(&self, number: u32) -> &World {
        &self.worlds[usize::try_from(number).unwrap_or(usize::MAX)]
    }

    /// What the next call of a process can lead to in a world.
    fn moves(&mut self, world: u32, process: u32) -> Result<Rc<Moves>, Found> {
        if let Some(moves) = self.moves.get(&(world, process)) {
            return Ok(Rc::clone(moves));
        }
        let mut moves = Moves::default();
        let waiting = self.process(process).filter(|(_, it)| it.has_begun() || it.may_begin(self.world(world)));
        if let Some((place, before)) = waiting.cloned()
            && let Stage::Asks(call) = &before.stage
        {
            moves.is_settled = self.world(world).has_settled(call);
            let usual = self.world(world).courses(call).iter().map(|course| (*course, false));
            let mishaps = mishaps(&before, call).iter().map(|course| (*course, true));
            for (course, is_mishap) in usual.chain(mishaps).collect::<Vec<_>>() {
                let in_step = |breach| (breach, Some((u8::try_from(place).unwrap_or(u8::MAX), course)));
                let (world, process) = match course {
                    Course::Crash => (world, GONE),
                    _ => {
                        let changed = call.may_change(course).then(|| self.world(world).copy());
                        let met = changed.as_ref().unwrap_or(self.world(world));
                        let answer = contract::make(met, call, course, before.knows_canceled);
                        let next = before.given(answer.map_err(in_step)?);
                        contract::answered(met, &next).map_err(in_step)?;
                        let world = changed.map_or(Ok(world), |changed| self.numbered(changed));
                        (world.map_err(in_step)?, self.placed(place, next))
                    }
                };
                moves.list.push(Move { course, is_mishap, world, process });
            }
        }
        let moves = Rc::new(moves);
        self.moves.insert((world, process), Rc::clone(&moves));
        Ok(moves)
    }

    fn numbered(&mut self, world: World) -> Result<u32, Breach> {
        let digest = world.digest();
        if let Some(number) = self.world_numbers.get(&digest) {
            return Ok(*number);
        }
        comes_to_rest(&world, &self.scene, self.over_at)?;
        let number = number_of(&self.worlds);
        self.worlds.push(world);
        self.world_numbers.insert(digest, number);
        Ok(number)
    }

    fn placed(&mut self, place: usize, process: Process) -> u32 {
        if let Stage::Ended(_) = process.stage {
            return GONE;
        }
        let number = number_of(&self.processes);
        let placed = *self.process_numbers.entry((place, process.digest)).or_insert(number);
        if placed == number {
            self.processes.push(Some((place, process)));
        }
        placed
    }
}

/// What can go wrong with us.
fn mishaps(process: &Process, call: &Call) -> &'static [Course] {
    match call {
        _ if !process.has_begun() => &[],
        Call::Commit(_) => &[Course::Crash, Course::Unheard, Course::Contended],
        Call::Get(_) | Call::Charge(_) | Call::Find(_) | Call::Refund(..) => &[Course::Crash],
    }
}

fn number_of<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or_else(|error| panic!("{error}"))
}

/// Millions of small numbers are hashed, which nobody chose to collide.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
