//! Instructions that need several lanes of a warp at once.

use super::block::{Core, Step};
use super::launch::{Launch, Stop};
use super::memory::{How, Target};
use super::warp::{Group, Warp};
use crate::isa::matrix::{Matrix, product};
use crate::isa::memory::Space;
use crate::isa::warp::{Collective, Kind, VoteKind, same};
use crate::lanes::{Lanes, Mask, WARP, lanes_of};
use crate::ptx::{Address, Reg};
use crate::report::{Report, ReportKind};

impl Core {
    /// Carries the instruction out once all lanes of its mask are there. False: the group waits.
    pub(crate) fn collective(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        group: &mut Group,
        step: &Step,
        lanes: Mask,
        collective: &Collective,
    ) -> Result<bool, Stop> {
        if lanes == 0 {
            group.pc += 1;
            return Ok(true);
        }
        let masks = *warp.value(collective.members, &launch.constants);
        let first = lanes.trailing_zeros() as usize;
        let members = masks[first] as Mask;
        // Lanes that name another mask are another meeting at the same place.
        let together = lanes_of(lanes).filter(|lane| masks[*lane] as Mask == members);
        let together = together.fold(0, |mask: Mask, lane| mask | 1 << lane);
        if together & !members != 0 {
            let detail = format!("the mask {members:#010x} does not name the lane itself");
            let lane = (together & !members).trailing_zeros() as usize;
            let report = self.finding(launch, warp, step, lane, ReportKind::DivergentWarp);
            launch.report(Report { detail, ..report })?;
        }
        if members & warp.live & !together != 0 {
            group.waits = true;
            return Ok(false);
        }
        self.meet(launch, warp, step, together, &collective.kind)?;
        let rest = group.lanes & !together;
        if rest != 0 {
            warp.groups.push(Group { lanes: rest, ..*group });
        }
        (group.lanes, group.pc) = (together, group.pc + 1);
        Ok(true)
    }

    fn meet(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        lanes: Mask,
        kind: &Kind,
    ) -> Result<(), Stop> {
        match kind {
            Kind::Synchronise => {
                // Of a part of the warp nothing is ordered here: that would need a count for each lane.
                if lanes == warp.live {
                    self.seen[warp.index][warp.index] += 1;
                }
            }
            Kind::Shuffle(shuffle) => {
                let value = *warp.value(shuffle.value, &launch.constants);
                let by = *warp.value(shuffle.lane, &launch.constants);
                let clamp = *warp.value(shuffle.clamp, &launch.constants);
                let (mut result, mut in_range) = ([0; WARP], [0; WARP]);
                for lane in lanes_of(lanes) {
                    let (source, ok) = shuffle.source(lane, by[lane], clamp[lane]);
                    if lanes >> source & 1 == 0 {
                        let detail = format!("lane {source}, which is read, does not take part");
                        let report =
                            self.finding(launch, warp, step, lane, ReportKind::DivergentWarp);
                        launch.report(Report { detail, ..report })?;
                    }
                    result[lane] = value[source] & u64::from(u32::MAX);
                    in_range[lane] = u64::from(ok);
                }
                warp.set(shuffle.destination, lanes, &result);
                if let Some(predicate) = shuffle.in_range {
                    warp.set(predicate, lanes, &in_range);
                }
            }
            Kind::Vote { destination, predicate, is_negated, kind } => {
                let predicate = warp.value(*predicate, &launch.constants);
                let holds = |lane: &usize| (predicate[*lane] & 1 == 1) != *is_negated;
                let ballot =
                    lanes_of(lanes).filter(holds).fold(0, |mask: Mask, lane| mask | 1 << lane);
                let result = match kind {
                    VoteKind::All => u64::from(ballot == lanes),
                    VoteKind::Any => u64::from(ballot != 0),
                    VoteKind::Uniform => u64::from(ballot == lanes || ballot == 0),
                    VoteKind::Ballot => u64::from(ballot),
                };
                warp.set(*destination, lanes, &[result; WARP]);
            }
            Kind::Match { destination, all, value, is_wide } => {
                let values = *warp.value(*value, &launch.constants);
                let masks: Lanes =
                    std::array::from_fn(|lane| u64::from(same(&values, lane, lanes, *is_wide)));
                let Some(agreed) = all else {
                    warp.set(*destination, lanes, &masks);
                    return Ok(());
                };
                let whole = masks[lanes.trailing_zeros() as usize] == u64::from(lanes);
                warp.set(*destination, lanes, &[if whole { u64::from(lanes) } else { 0 }; WARP]);
                if let Some(agreed) = agreed {
                    warp.set(*agreed, lanes, &[u64::from(whole); WARP]);
                }
            }
            Kind::Reduce { destination, value, join } => {
                let values = warp.value(*value, &launch.constants);
                let result = lanes_of(lanes).map(|lane| values[lane] as u32).reduce(join);
                warp.set(*destination, lanes, &[u64::from(result.unwrap_or(0)); WARP]);
            }
            Kind::Matrix(matrix) => return self.matrix(launch, warp, step, lanes, matrix),
        }
        Ok(())
    }

    fn matrix(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        lanes: Mask,
        matrix: &Matrix,
    ) -> Result<(), Stop> {
        if lanes != Mask::MAX {
            let detail = "a matrix instruction needs all 32 lanes".to_owned();
            let report = self.finding(
                launch,
                warp,
                step,
                lanes.trailing_zeros() as usize,
                ReportKind::DivergentWarp,
            );
            return launch.report(Report { detail, ..report });
        }
        match matrix {
            Matrix::Load { registers, address, is_transposed } => {
                self.load_matrices(launch, warp, step, registers, *address, *is_transposed)
            }
            Matrix::Store { registers, address, is_transposed } => {
                self.store_matrices(launch, warp, step, registers, *address, *is_transposed)
            }
            Matrix::Multiply { d, a, b, c, wide } => {
                let value = |register: Reg| warp.value(register, &launch.constants);
                let result = product(a.map(value), b.map(value), c.map(value), *wide);
                for (register, values) in d.iter().zip(&result) {
                    warp.set(*register, lanes, values);
                }
                Ok(())
            }
        }
    }

    fn row(warp: &Warp, launch: &Launch, address: Address, lane: usize, how: How) -> Target {
        let base = warp.value(address.base, &launch.constants)[lane];
        Target {
            space: Space::Shared,
            address: base.wrapping_add_signed(address.offset),
            bytes: 16,
            how,
        }
    }

    /// Lane `l` receives elements `2 (l % 4)` and the next of row `l / 4`; transposed, of column `l / 4`.
    fn load_matrices(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        registers: &[Reg],
        address: Address,
        is_transposed: bool,
    ) -> Result<(), Stop> {
        let mut results = Vec::new();
        for matrix in 0..registers.len() {
            let mut elements = [[0_u16; 8]; 8];
            for (row, elements) in elements.iter_mut().enumerate() {
                let lane = matrix * 8 + row;
                let target = Self::row(warp, launch, address, lane, How::Read);
                self.access(launch, warp, step, lane, target, |data| {
                    for (element, bytes) in elements.iter_mut().zip(data.chunks_exact(2)) {
                        *element = u16::from_le_bytes([bytes[0], bytes[1]]);
                    }
                })?;
            }
            let at = |row: usize, column: usize| match is_transposed {
                true => u64::from(elements[column][row]),
                false => u64::from(elements[row][column]),
            };
            let pair = |lane: usize| {
                let (row, column) = (lane / 4, lane % 4 * 2);
                at(row, column) | at(row, column + 1) << 16
            };
            results.push(std::array::from_fn(pair));
        }
        for (register, values) in registers.iter().zip(&results) {
            warp.set(*register, Mask::MAX, values);
        }
        Ok(())
    }

    fn store_matrices(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        registers: &[Reg],
        address: Address,
        is_transposed: bool,
    ) -> Result<(), Stop> {
        for (matrix, register) in registers.iter().enumerate() {
            let values = *warp.value(*register, &launch.constants);
            let element = |row: usize, column: usize| {
                let (row, column) = if is_transposed { (column, row) } else { (row, column) };
                (values[row * 4 + column / 2] >> (16 * (column % 2))) as u16
            };
            for row in 0..8 {
                let lane = matrix * 8 + row;
                let target = Self::row(warp, launch, address, lane, How::Write);
                self.access(launch, warp, step, lane, target, |data| {
                    for (column, bytes) in data.chunks_exact_mut(2).enumerate() {
                        bytes.copy_from_slice(&element(row, column).to_le_bytes());
                    }
                })?;
            }
        }
        Ok(())
    }
}
