//! One block: its warps in order, from barrier to barrier.

use super::launch::{Grid, Launch, Stop};
use super::shadow::Shadow;
use super::warp::{Group, Warp};
use crate::isa::warp::{Barrier, Count};
use crate::isa::{Instruction, Op};
use crate::lanes::{Lanes, Mask, WARP, lanes_of};
use crate::ptx::{Kernel, Special};
use crate::report::{Report, ReportKind};

/// The instruction being carried out.
pub(crate) type Step = Instruction;

/// What the warps of a block share.
pub(crate) struct Core {
    pub(crate) shared: Vec<u8>,
    pub(crate) shared_shadow: Shadow,
    /// Start, end and name of each shared variable.
    pub(crate) variables: Vec<(u64, u64, String)>,
    /// For each warp, up to which count it has waited for each other one.
    pub(crate) seen: Vec<Vec<u32>>,
    pub(crate) local_bytes: usize,
    pub(crate) instance: u32,
    pub(crate) place: [u32; 3],
    n_steps: u64,
    /// Of each `bar.arrive`, the barrier and what its warp had waited for.
    arrived: Vec<(u32, Vec<u32>)>,
}

/// A block, used again for each place of the grid.
pub(crate) struct Block {
    warps: Vec<Warp>,
    core: Core,
    n_threads: u32,
}

impl Block {
    /// Room for a block of this launch.
    pub(crate) fn new(kernel: &Kernel, grid: Grid) -> Self {
        let n_threads: u32 = grid.threads.iter().product();
        let n_warps = (n_threads as usize).div_ceil(WARP);
        let end = |variable: &crate::ptx::SharedVariable| match variable.is_dynamic {
            true => variable.start + u64::from(grid.shared_bytes),
            false => variable.start + variable.bytes,
        };
        let variables = kernel.shared.iter();
        let variables =
            variables.map(|variable| (variable.start, end(variable), variable.name.clone()));
        let shared_bytes = kernel.dynamic_start as usize + grid.shared_bytes as usize;
        Self {
            warps: (0..n_warps).map(|index| Warp::new(index, kernel.n_registers)).collect(),
            core: Core {
                shared: vec![0; shared_bytes],
                shared_shadow: Shadow::new(shared_bytes),
                variables: variables.collect(),
                seen: vec![vec![0; n_warps]; n_warps],
                local_bytes: kernel.local_bytes,
                instance: 0,
                place: [0; 3],
                n_steps: 0,
                arrived: Vec::new(),
            },
            n_threads,
        }
    }

    /// Runs the block at this place of the grid to its end.
    pub(crate) fn run(
        &mut self,
        place: [u32; 3],
        instance: u32,
        launch: &mut Launch,
    ) -> Result<(), Stop> {
        self.begin(place, instance, launch);
        loop {
            for warp in &mut self.warps {
                if warp.live != 0 && warp.at_barrier.is_none() {
                    self.core.run_warp(warp, launch)?;
                }
            }
            if self.warps.iter().all(|warp| warp.live == 0) {
                return Ok(());
            }
            self.release(launch)?;
        }
    }

    fn begin(&mut self, place: [u32; 3], instance: u32, launch: &Launch) {
        let core = &mut self.core;
        core.place = place;
        core.instance = instance;
        core.n_steps = 0;
        core.arrived.clear();
        core.shared_shadow.clear(core.shared.len());
        for (index, warp) in self.warps.iter_mut().enumerate() {
            let n_lanes = (self.n_threads as usize - index * WARP).min(WARP);
            let lanes = (u64::MAX >> (64 - n_lanes)) as Mask;
            (warp.all, warp.live) = (lanes, lanes);
            warp.groups = vec![Group { pc: 0, lanes, waits: false }];
            warp.local.resize(core.local_bytes * WARP, 0);
            warp.local_shadow.clear(core.local_bytes * WARP);
            warp.copies.clear();
            warp.committed = [0; WARP];
            warp.at_barrier = None;
            core.seen[index].fill(0);
            core.seen[index][index] = 1;
            for (register, special) in &launch.kernel.specials {
                let value = |lane| special_value(*special, index, lane, place, launch.grid);
                warp.registers[register.index()] = std::array::from_fn(value);
            }
        }
    }

    /// Lets the warps go on whose barrier is complete.
    fn release(&mut self, launch: &mut Launch) -> Result<(), Stop> {
        let waiting: Vec<usize> =
            (0..self.warps.len()).filter(|index| self.warps[*index].at_barrier.is_some()).collect();
        for first in &waiting {
            let (number, count) = self.warps[*first].at_barrier.unwrap_or_default();
            let together: Vec<usize> = waiting
                .iter()
                .copied()
                .filter(|other| {
                    let at = self.warps[*other].at_barrier;
                    at.is_some_and(|(other, _)| other == number)
                })
                .collect();
            let arrived = self.core.arrived.iter().filter(|(at, _)| *at == number);
            let n_warps = together.len() + arrived.count();
            let complete = match count {
                Some(count) => n_warps == (count as usize).div_ceil(WARP),
                None => together.len() == self.warps.len() && self.is_uniform(),
            };
            if complete {
                self.pass(number, &together, launch);
                return Ok(());
            }
        }
        self.report_divergence(&waiting, launch)
    }

    /// Whether every thread of the block is at the same barrier instruction.
    fn is_uniform(&self) -> bool {
        let pc = |warp: &Warp| warp.groups.first().map(|group| group.pc);
        let first = pc(&self.warps[0]);
        self.warps.iter().all(|warp| pc(warp) == first && warp.live == warp.all)
    }

    fn report_divergence(&mut self, waiting: &[usize], launch: &mut Launch) -> Result<(), Stop> {
        let Some(warp) = waiting.first().map(|index| &self.warps[*index]) else {
            return Err(Stop);
        };
        let group = warp.groups.first().copied();
        let step = &launch.kernel.code[group.map_or(0, |group| group.pc)];
        let lane = warp.live.trailing_zeros() as usize;
        let n_ended: u32 = self.warps.iter().map(|warp| (warp.all & !warp.live).count_ones()).sum();
        let lines: Vec<u32> = waiting
            .iter()
            .filter_map(|index| self.warps[*index].groups.first())
            .map(|group| launch.kernel.code[group.pc].line)
            .collect();
        let detail = format!(
            "{} of {} warps wait, at lines {lines:?}; {n_ended} of {} threads have ended",
            waiting.len(),
            self.warps.len(),
            self.n_threads
        );
        let report = self.core.finding(launch, warp, step, lane, ReportKind::DivergentBarrier);
        launch.report(Report { detail, ..report })
    }

    /// Orders what the warps did before the barrier ahead of what they do next, and lets the waiting ones go. All of them
    /// go on with one count: that of the furthest, and one more.
    fn pass(&mut self, number: u32, together: &[usize], launch: &Launch) {
        let core = &mut self.core;
        let counts = together.iter().map(|warp| core.seen[*warp][*warp]);
        let furthest = counts.max().unwrap_or(0);
        for warp in together {
            core.seen[*warp][*warp] = furthest;
        }
        let arrived = core.arrived.iter().filter(|(at, _)| *at == number);
        let known = together.iter().map(|warp| &core.seen[*warp]);
        let known: Vec<&Vec<u32>> = known.chain(arrived.map(|(_, seen)| seen)).collect();
        let joined: Vec<u32> = (0..core.seen.len())
            .map(|of| known.iter().map(|seen| seen[of]).max().unwrap_or(0))
            .collect();
        for warp in together {
            core.seen[*warp].copy_from_slice(&joined);
            core.seen[*warp][*warp] = furthest + 1;
        }
        core.arrived.retain(|(at, _)| *at != number);
        self.reduce(together, launch);
        for warp in together {
            self.warps[*warp].pass_barrier();
        }
    }

    /// `bar.red`.
    fn reduce(&mut self, together: &[usize], launch: &Launch) {
        let at = |warp: &Warp| match &launch.kernel.code[warp.groups[0].pc].op {
            Op::Barrier(Barrier { reduction, .. }) => *reduction,
            _ => None,
        };
        let (mut n_true, mut n_all) = (0, 0);
        for warp in together.iter().map(|index| &self.warps[*index]) {
            if let Some(reduction) = at(warp) {
                let predicate = warp.value(reduction.predicate, &launch.constants);
                let holds = |lane: &usize| (predicate[*lane] & 1 == 1) != reduction.is_negated;
                n_true += lanes_of(warp.live).filter(holds).count();
                n_all += warp.live.count_ones() as usize;
            }
        }
        for index in together {
            let warp = &mut self.warps[*index];
            if let Some(reduction) = at(warp) {
                let result = match reduction.kind {
                    Count::All => u64::from(n_true == n_all),
                    Count::Any => u64::from(n_true > 0),
                    Count::Number => n_true as u64,
                };
                warp.set(reduction.destination, warp.live, &[result; WARP]);
            }
        }
    }
}

impl Core {
    /// Runs a warp until it ends or waits at a barrier of the block.
    fn run_warp(&mut self, warp: &mut Warp, launch: &mut Launch) -> Result<(), Stop> {
        while let Some(mut group) = warp.take_next() {
            while self.step(warp, &mut group, launch)? {
                if !warp.groups.is_empty() && warp.gives_way(group.pc) {
                    break;
                }
            }
            if group.lanes != 0 {
                warp.groups.push(group);
            }
            if warp.at_barrier.is_some() {
                return Ok(());
            }
        }
        match warp.groups.first().copied() {
            None => Ok(()),
            Some(group) => self.report_stuck(warp, group, launch),
        }
    }

    fn report_stuck(&self, warp: &Warp, group: Group, launch: &mut Launch) -> Result<(), Stop> {
        let kernel = launch.kernel;
        let lines: Vec<u32> = warp.groups.iter().map(|group| kernel.code[group.pc].line).collect();
        let detail = format!("lanes of one warp wait at lines {lines:?} and never meet");
        let step = &kernel.code[group.pc];
        let kind = match step.op {
            Op::Barrier(_) => ReportKind::DivergentBarrier,
            _ => ReportKind::DivergentWarp,
        };
        let lane = group.lanes.trailing_zeros() as usize;
        let report = self.finding(launch, warp, step, lane, kind);
        launch.report(Report { detail, ..report })
    }

    /// Carries out one instruction for a group. False: the group does not go on by itself.
    fn step(
        &mut self,
        warp: &mut Warp,
        group: &mut Group,
        launch: &mut Launch,
    ) -> Result<bool, Stop> {
        let kernel = launch.kernel;
        let step = &kernel.code[group.pc];
        let lanes = guarded(step, warp, group.lanes, &launch.constants);
        launch.n_instructions += u64::from(lanes.count_ones());
        self.n_steps += 1;
        if self.n_steps > launch.steps_max {
            return self.trap(warp, step, lanes, "the block does not end", launch);
        }
        match &step.op {
            Op::Pure { function, destination, sources } => {
                if lanes != 0 {
                    let values =
                        function(sources.map(|source| warp.value(source, &launch.constants)));
                    warp.set(*destination, lanes, &values);
                }
            }
            Op::Load(load) => self.load(launch, warp, step, lanes, load)?,
            Op::Store(store) => self.store(launch, warp, step, lanes, store)?,
            Op::Atomic(atomic) => self.atomic(launch, warp, step, lanes, atomic)?,
            Op::CopyAsync(copy) => self.begin_copy(launch, warp, step, lanes, copy)?,
            Op::CopyCommit => lanes_of(lanes).for_each(|lane| warp.committed[lane] += 1),
            Op::CopyWait(keep) => self.finish_copies(launch, warp, step, lanes, *keep)?,
            Op::ActiveMask { destination } => {
                warp.set(*destination, lanes, &[u64::from(lanes); WARP]);
            }
            Op::Nothing => {}
            Op::Branch { target } => return Ok(branch(warp, group, lanes, *target)),
            Op::BranchIndexed { index, targets } => {
                let index = *warp.value(*index, &launch.constants);
                let rest = group.lanes & !lanes;
                for lane in lanes_of(lanes) {
                    let Some(target) = targets.get(index[lane] as usize) else {
                        return self.trap(
                            warp,
                            step,
                            lanes,
                            "a branch index is out of range",
                            launch,
                        );
                    };
                    warp.groups.push(Group { pc: *target, lanes: 1 << lane, waits: false });
                }
                (group.pc, group.lanes) = (group.pc + 1, rest);
                return Ok(false);
            }
            Op::Exit => {
                warp.exit(lanes);
                group.lanes &= !lanes;
                group.pc += 1;
                if lanes != 0 {
                    warp.wake();
                }
                return Ok(group.lanes != 0);
            }
            Op::Trap if lanes == 0 => {}
            Op::Trap => return self.trap(warp, step, lanes, "the kernel trapped", launch),
            Op::Barrier(barrier) => {
                return Ok(self.barrier(warp, group, lanes, barrier, &launch.constants));
            }
            Op::Collective(collective) => {
                return self.collective(launch, warp, group, step, lanes, collective);
            }
        }
        group.pc += 1;
        Ok(true)
    }

    fn trap(
        &self,
        warp: &Warp,
        step: &Step,
        lanes: Mask,
        why: &str,
        launch: &mut Launch,
    ) -> Result<bool, Stop> {
        let lane = lanes.trailing_zeros().min(31) as usize;
        let report = self.finding(launch, warp, step, lane, ReportKind::Trap);
        launch.report(Report { detail: why.to_owned(), ..report })?;
        Ok(false)
    }

    /// A warp waits at a barrier as a whole: until all its lanes are there, those that are wait for the others.
    fn barrier(
        &mut self,
        warp: &mut Warp,
        group: &mut Group,
        lanes: Mask,
        barrier: &Barrier,
        constants: &[Lanes],
    ) -> bool {
        if lanes == 0 {
            group.pc += 1;
            return true;
        }
        if lanes != warp.live {
            group.waits = true;
            return false;
        }
        let lane = lanes.trailing_zeros() as usize;
        let number = warp.value(barrier.number, constants)[lane] as u32;
        let count = barrier.n_threads.map(|n| warp.value(n, constants)[lane] as u32);
        if barrier.only_arrives {
            let seen = &mut self.seen[warp.index];
            self.arrived.push((number, seen.clone()));
            // What comes next is not covered by the arrival.
            seen[warp.index] += 1;
            group.pc += 1;
            return true;
        }
        group.waits = true;
        warp.at_barrier = Some((number, count));
        false
    }

    /// A finding without its memory and its words.
    pub(crate) fn finding(
        &self,
        launch: &Launch,
        warp: &Warp,
        step: &Step,
        lane: usize,
        kind: ReportKind,
    ) -> Report {
        Report {
            kind,
            kernel: launch.kernel.name.clone(),
            line: step.line,
            instruction: step.text.to_string(),
            block: self.place,
            thread: self.coordinates(launch, warp.index * WARP + lane),
            buffer: String::new(),
            offset: 0,
            detail: String::new(),
        }
    }

    /// A thread's place in its block.
    pub(crate) fn coordinates(&self, launch: &Launch, thread: usize) -> [u32; 3] {
        coordinates(thread as u32, launch.grid.threads)
    }
}

fn branch(warp: &mut Warp, group: &mut Group, lanes: Mask, target: usize) -> bool {
    let rest = group.lanes & !lanes;
    match (lanes, rest) {
        (_, 0) => group.pc = target,
        (0, _) => group.pc += 1,
        _ => {
            warp.groups.push(Group { pc: target, lanes, waits: false });
            (group.pc, group.lanes) = (group.pc + 1, rest);
        }
    }
    true
}

/// The lanes of a group in which the guard holds.
fn guarded(step: &Step, warp: &Warp, lanes: Mask, constants: &[Lanes]) -> Mask {
    let Some((predicate, is_negated)) = step.guard else {
        return lanes;
    };
    let values = warp.value(predicate, constants);
    let mut holds = 0;
    for (lane, value) in values.iter().enumerate() {
        holds |= ((value & 1) as Mask) << lane;
    }
    lanes & if is_negated { !holds } else { holds }
}

fn coordinates(thread: u32, [nx, ny, _]: [u32; 3]) -> [u32; 3] {
    [thread % nx, thread / nx % ny, thread / (nx * ny)]
}

fn special_value(special: Special, warp: usize, lane: usize, place: [u32; 3], grid: Grid) -> u64 {
    let thread = (warp * WARP + lane) as u32;
    let bit = 1_u64 << lane;
    u64::from(match special {
        Special::Tid(axis) => coordinates(thread, grid.threads)[axis],
        Special::Ntid(axis) => grid.threads[axis],
        Special::Ctaid(axis) => place[axis],
        Special::Nctaid(axis) => grid.blocks[axis],
        Special::Laneid => lane as u32,
        Special::Warpid => warp as u32,
        Special::Nwarpid => grid.threads.iter().product::<u32>().div_ceil(32),
        Special::LanemaskEq => bit as u32,
        Special::LanemaskLt => (bit - 1) as u32,
        Special::LanemaskLe => (2 * bit - 1) as u32,
        Special::LanemaskGe => !(bit - 1) as u32,
        Special::LanemaskGt => !(2 * bit - 1) as u32,
        Special::DynamicSmemSize => grid.shared_bytes,
    })
}
