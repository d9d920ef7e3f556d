//! Every access of a kernel, checked: alignment, bounds, bytes that nothing has written, races.

use super::block::{Core, Step};
use super::global::Place;
use super::launch::{Launch, Stop};
use super::shadow::{Access as Kind, Accessor, Conflict};
use super::warp::{PendingCopy, Warp};
use super::{LOCAL_BASE, SHARED_BASE, WINDOW_BYTES};
use crate::isa::atomic::Atomic;
use crate::isa::memory::{Access, CopyAsync, Load, Space, Store};
use crate::lanes::{Mask, lanes_of};
use crate::ptx::Address;
use crate::report::{Report, ReportKind};

/// One lane's access.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) space: Space,
    pub(crate) address: u64,
    pub(crate) bytes: usize,
    pub(crate) how: How,
}

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Read,
    ReadAtomic,
    Write,
    WriteAtomic,
    Change,
    /// A copy that was begun will write at some time from now on; until it is complete the bytes mean nothing.
    Begin,
    /// The copy is complete.
    Complete,
}

impl How {
    fn kind(self) -> Kind {
        match self {
            Self::Read => Kind::Read,
            Self::Write | Self::Begin | Self::Complete => Kind::Write,
            Self::ReadAtomic | Self::WriteAtomic | Self::Change => Kind::Atomic,
        }
    }

    fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadAtomic | Self::Change)
    }
}

/// The space that a generic address is in, and the address within it.
fn resolve(space: Space, address: u64) -> (Space, u64) {
    let window = |base: u64| (base..base + WINDOW_BYTES).contains(&address);
    match space {
        Space::Generic if window(SHARED_BASE) => (Space::Shared, address - SHARED_BASE),
        Space::Generic if window(LOCAL_BASE) => (Space::Local, address - LOCAL_BASE),
        Space::Generic => (Space::Global, address),
        Space::Shared | Space::Local => (space, address & u64::from(u32::MAX)),
        Space::Global | Space::Parameter => (space, address),
    }
}

impl Core {
    /// Checks one lane's access and, where it may be made, gives its bytes to `f`.
    pub(crate) fn access(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        lane: usize,
        target: Target,
        f: impl FnOnce(&mut [u8]),
    ) -> Result<(), Stop> {
        let (space, address) = resolve(target.space, target.address);
        let Target { bytes, how, .. } = target;
        // Sizes are powers of two.
        if address & (bytes as u64 - 1) != 0 {
            let detail = format!("an access of {bytes} bytes needs a multiple of {bytes}");
            let (buffer, offset) = self.describe(launch, space, address);
            let report = self.finding(launch, warp, step, lane, ReportKind::Misaligned);
            return launch.report(Report { buffer, offset, detail, ..report });
        }
        let thread = (warp.index * 32 + lane) as u16;
        let who = Accessor {
            instance: self.instance,
            // Each block begins with shared memory of its own.
            first_instance: match space {
                Space::Shared => self.instance,
                _ => launch.first_instance,
            },
            thread,
            seen: &self.seen[warp.index],
        };
        let place = match space {
            Space::Shared => shared_place(
                &self.variables,
                &mut self.shared,
                &mut self.shared_shadow,
                address,
                bytes,
            ),
            Space::Local => local_place(warp, self.local_bytes, lane, address, bytes),
            _ => launch.memory.place(address, bytes),
        };
        let place = match place {
            Ok(place) => place,
            Err((buffer, offset, detail)) => {
                let report = self.finding(launch, warp, step, lane, ReportKind::OutOfBounds);
                return launch.report(Report { buffer, offset, detail, ..report });
            }
        };
        let Place { bytes: data, shadow, start } = place;
        let unwritten = how.reads() && !shadow.is_written(start, bytes);
        let race = match space {
            Space::Local => None,
            _ => shadow.touch(start, bytes, &who, how.kind()),
        };
        let under_way = matches!(how, How::Write | How::Begin) && shadow.is_under_way(start, bytes);
        if how != How::Read && how != How::ReadAtomic {
            shadow.set_written(start, bytes, how != How::Begin);
        }
        f(&mut data[start..start + bytes]);
        if unwritten {
            let detail = format!("{bytes} bytes are read of which nothing wrote some");
            let (buffer, offset) = self.describe(launch, space, address);
            let report = self.finding(launch, warp, step, lane, ReportKind::UninitialisedRead);
            launch.report(Report { buffer, offset, detail, ..report })?;
        }
        let race = race.map(|race| self.race_detail(launch, race, how));
        let overtaken = || "a copy to these bytes was begun and not waited for".to_owned();
        if let Some(detail) = race.or_else(|| under_way.then(overtaken)) {
            let (buffer, offset) = self.describe(launch, space, address);
            let report = self.finding(launch, warp, step, lane, ReportKind::Race);
            launch.report(Report { buffer, offset, detail, ..report })?;
        }
        Ok(())
    }

    fn race_detail(&self, launch: &Launch, race: Conflict, how: How) -> String {
        let this = if how.kind() == Kind::Read { "read" } else { "write" };
        let earlier = race.earlier;
        match race.is_other_block {
            true => format!("this {this} and a {earlier} of another block are not ordered"),
            false => {
                let other = self.coordinates(launch, usize::from(race.thread));
                format!(
                    "this {this} and a {earlier} of thread {other:?} are not ordered by a barrier"
                )
            }
        }
    }

    /// Name and offset of an address, for a report.
    fn describe(&self, launch: &mut Launch, space: Space, address: u64) -> (String, i64) {
        match space {
            Space::Shared => {
                let mut variables = self.variables.iter();
                let found = variables.find(|(start, end, _)| (*start..*end).contains(&address));
                found.map_or((String::new(), address as i64), |(start, _, name)| {
                    (name.clone(), (address - start) as i64)
                })
            }
            Space::Local => ("local memory".to_owned(), address as i64),
            _ => launch.memory.describe(address),
        }
    }

    /// `ld`.
    pub(crate) fn load(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        lanes: Mask,
        load: &Load,
    ) -> Result<(), Stop> {
        let Access { space, address, element_bytes, is_atomic } = load.access;
        let bytes = element_bytes * load.destinations.len();
        let base = *warp.value(address.base, &launch.constants);
        let how = if is_atomic { How::ReadAtomic } else { How::Read };
        for lane in lanes_of(lanes) {
            let address = base[lane].wrapping_add_signed(address.offset);
            let mut buffer = [0; 32];
            if space == Space::Parameter {
                let start = address as usize;
                let Some(parameter) = launch.parameters.get(start..start + bytes) else {
                    let detail = "the parameters end before this".to_owned();
                    let report = self.finding(launch, warp, step, lane, ReportKind::Trap);
                    return launch.report(Report { detail, ..report });
                };
                buffer[..bytes].copy_from_slice(parameter);
            } else {
                let target = Target { space, address, bytes, how };
                self.access(launch, warp, step, lane, target, |data| {
                    buffer[..bytes].copy_from_slice(data);
                })?;
            }
            let parts = buffer.chunks_exact(element_bytes);
            for ((part, destination), widen) in parts.zip(&load.destinations).zip(&load.widen) {
                let value = word(part);
                let value = widen.map_or(value, |widen| widen(value));
                warp.registers[destination.index()][lane] = value;
            }
        }
        Ok(())
    }

    /// `st`.
    pub(crate) fn store(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        lanes: Mask,
        store: &Store,
    ) -> Result<(), Stop> {
        let Access { space, address, element_bytes, is_atomic } = store.access;
        let bytes = element_bytes * store.sources.len();
        let base = *warp.value(address.base, &launch.constants);
        let how = if is_atomic { How::WriteAtomic } else { How::Write };
        for lane in lanes_of(lanes) {
            let mut buffer = [0; 32];
            for (part, source) in buffer.chunks_exact_mut(element_bytes).zip(&store.sources) {
                let value = warp.value(*source, &launch.constants)[lane];
                part.copy_from_slice(&value.to_le_bytes()[..element_bytes]);
            }
            let address = base[lane].wrapping_add_signed(address.offset);
            let target = Target { space, address, bytes, how };
            self.access(launch, warp, step, lane, target, |data| {
                data.copy_from_slice(&buffer[..bytes]);
            })?;
        }
        Ok(())
    }

    /// `atom` and `red`: the lanes one after another, lowest first.
    pub(crate) fn atomic(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        lanes: Mask,
        atomic: &Atomic,
    ) -> Result<(), Stop> {
        let Access { space, address, element_bytes: bytes, .. } = atomic.access;
        let base = *warp.value(address.base, &launch.constants);
        let operands = atomic.operands.map(|operand| *warp.value(operand, &launch.constants));
        for lane in lanes_of(lanes) {
            let address = base[lane].wrapping_add_signed(address.offset);
            let target = Target { space, address, bytes, how: How::Change };
            let mut old = 0;
            self.access(launch, warp, step, lane, target, |data| {
                old = word(data);
                let new = (atomic.change)(old, operands[0][lane], operands[1][lane]);
                data.copy_from_slice(&new.to_le_bytes()[..bytes]);
            })?;
            if let Some(destination) = atomic.destination {
                warp.registers[destination.index()][lane] = old;
            }
        }
        Ok(())
    }

    /// `cp.async`: reads and writes only when it is waited for, but is checked now.
    pub(crate) fn begin_copy(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        lanes: Mask,
        copy: &CopyAsync,
    ) -> Result<(), Stop> {
        let address = |warp: &Warp, launch: &Launch, address: Address, lane: usize| {
            let base = warp.value(address.base, &launch.constants)[lane];
            base.wrapping_add_signed(address.offset)
        };
        for lane in lanes_of(lanes) {
            let to = address(warp, launch, copy.to, lane);
            let from = address(warp, launch, copy.from, lane);
            let source_bytes =
                warp.value(copy.source_bytes, &launch.constants)[lane] as u32 as usize;
            if source_bytes > copy.bytes {
                let detail = format!("{source_bytes} bytes are given to a copy of {}", copy.bytes);
                let report = self.finding(launch, warp, step, lane, ReportKind::Trap);
                return launch.report(Report { detail, ..report });
            }
            let target =
                Target { space: Space::Shared, address: to, bytes: copy.bytes, how: How::Begin };
            self.access(launch, warp, step, lane, target, |_| ())?;
            let group = warp.committed[lane];
            let bytes = copy.bytes;
            let pending = PendingCopy { lane, group, to, from, bytes, source_bytes };
            let mut read = [0; 16];
            self.copy_source(launch, warp, step, &pending, &mut read)?;
            warp.copies.push(pending);
        }
        Ok(())
    }

    /// `cp.async.wait_group`: completes all but the last `keep` groups of each lane.
    pub(crate) fn finish_copies(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        lanes: Mask,
        keep: Option<u32>,
    ) -> Result<(), Stop> {
        let copies = std::mem::take(&mut warp.copies);
        for copy in copies {
            let behind = i64::from(warp.committed[copy.lane]) - i64::from(copy.group);
            let due = keep.is_none_or(|keep| behind > i64::from(keep));
            if lanes >> copy.lane & 1 == 0 || !due {
                warp.copies.push(copy);
                continue;
            }
            let mut bytes = [0; 16];
            self.copy_source(launch, warp, step, &copy, &mut bytes)?;
            let target = Target {
                space: Space::Shared,
                address: copy.to,
                bytes: copy.bytes,
                how: How::Complete,
            };
            self.access(launch, warp, step, copy.lane, target, |data| {
                data.copy_from_slice(&bytes[..copy.bytes]);
            })?;
        }
        Ok(())
    }

    /// Reads what a copy takes from global memory. A part shorter than the copy is read byte by byte, as it need not be aligned
    /// to its own size.
    fn copy_source(
        &mut self,
        launch: &mut Launch,
        warp: &mut Warp,
        step: &Step,
        copy: &PendingCopy,
        into: &mut [u8; 16],
    ) -> Result<(), Stop> {
        let whole = copy.source_bytes == copy.bytes;
        let unit = if whole { copy.bytes } else { 1 };
        for start in (0..copy.source_bytes).step_by(unit) {
            let address = copy.from + start as u64;
            let target = Target { space: Space::Global, address, bytes: unit, how: How::Read };
            self.access(launch, warp, step, copy.lane, target, |data| {
                into[start..start + unit].copy_from_slice(data);
            })?;
        }
        Ok(())
    }
}

/// Up to eight bytes as a little-endian number.
fn word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

type Nobody = (String, i64, String);

fn shared_place<'a>(
    variables: &[(u64, u64, String)],
    bytes: &'a mut [u8],
    shadow: &'a mut super::shadow::Shadow,
    address: u64,
    n: usize,
) -> Result<Place<'a>, Nobody> {
    let end = address + n as u64;
    if variables.iter().any(|(from, to, _)| *from <= address && end <= *to) {
        let start = address as usize;
        return Ok(Place { bytes, shadow, start });
    }
    // The variable before the address is the one whose end was passed.
    let before =
        variables.iter().filter(|(from, ..)| *from <= address).max_by_key(|(from, ..)| *from);
    Err(match before.or(variables.first()) {
        Some((from, to, name)) => {
            let detail = format!("the shared variable has {} bytes", to - from);
            (name.clone(), address.wrapping_sub(*from) as i64, detail)
        }
        None => (String::new(), address as i64, "the kernel has no shared memory".to_owned()),
    })
}

fn local_place(
    warp: &mut Warp,
    local_bytes: usize,
    lane: usize,
    address: u64,
    n: usize,
) -> Result<Place<'_>, Nobody> {
    if address + n as u64 > local_bytes as u64 {
        let detail = format!("a thread has {local_bytes} bytes of it");
        return Err(("local memory".to_owned(), address as i64, detail));
    }
    Ok(Place {
        bytes: &mut warp.local,
        shadow: &mut warp.local_shadow,
        start: lane * local_bytes + address as usize,
    })
}
