//! The work that streams carry out and graphs remember.

use super::products::Product;
use super::state::{Driver, Function};
use super::{Handle, INVALID_HANDLE, INVALID_VALUE, SUCCESS, get_bytes, in_host_call, put_bytes};
use crate::machine::{Grid, launch};

/// Something to do on a stream.
#[derive(Clone)]
pub(crate) enum Work {
    Launch {
        function: Function,
        grid: Grid,
        arguments: Vec<Vec<u8>>,
    },
    /// The host's memory is given by its address: it is read when the copy is carried out.
    HostToDevice {
        to: u64,
        from: usize,
        bytes: usize,
    },
    /// What a copy read of the host's memory within the call.
    Write {
        to: u64,
        data: Vec<u8>,
    },
    DeviceToHost {
        to: usize,
        from: u64,
        bytes: usize,
    },
    DeviceToDevice {
        to: u64,
        from: u64,
        bytes: usize,
    },
    /// `count` times `value`, little-endian.
    Fill {
        to: u64,
        value: Vec<u8>,
        count: usize,
    },
    Product(Product),
    HostCall {
        function: extern "C" fn(Handle),
        data: usize,
    },
    /// A graph's own memory, at the address that the capture gave it.
    Allocate {
        address: u64,
        bytes: usize,
    },
    Free {
        address: u64,
    },
}

impl Driver {
    /// What a card's driver refuses within the call: a copy or a fill of memory that is nobody's.
    pub(crate) fn check(&mut self, work: &Work) -> Result<(), i32> {
        let places: &[(&str, u64, usize)] = match work {
            Work::HostToDevice { to, bytes, .. } => &[("a copy to the device", *to, *bytes)],
            Work::DeviceToHost { from, bytes, .. } => &[("a copy to the host", *from, *bytes)],
            Work::DeviceToDevice { to, from, bytes } => &[
                ("a copy on the device, reading", *from, *bytes),
                ("a copy on the device, writing", *to, *bytes),
            ],
            Work::Fill { to, value, count } => &[("a fill", *to, value.len() * count)],
            _ => &[],
        };
        for (call, address, bytes) in places {
            if *bytes > 0
                && let Err(nobody) = self.memory.place(*address, *bytes)
            {
                return Err(self.refuse(call, nobody));
            }
        }
        Ok(())
    }

    /// Does work now.
    pub(crate) fn carry_out(&mut self, work: &Work) -> i32 {
        match work {
            Work::Launch { function, grid, arguments } => {
                let Some(kernel) = function.kernel() else {
                    return INVALID_HANDLE;
                };
                let (reports, n_instructions) = launch(
                    kernel,
                    *grid,
                    arguments,
                    &mut self.memory,
                    &mut self.instance,
                    self.steps_max,
                );
                self.n_instructions += n_instructions;
                self.note(reports);
                SUCCESS
            }
            Work::HostToDevice { to, from, bytes } => {
                self.end_pending("a copy to the device", *from, *bytes);
                let data = get_bytes(*from as *const u8, *bytes);
                self.write("a copy to the device", *to, &data)
            }
            Work::Write { to, data } => self.write("a copy to the device", *to, data),
            Work::DeviceToHost { to, from, bytes } => {
                self.end_pending("a copy to the host", *to, *bytes);
                self.copy_to_host(*to, *from, *bytes)
            }
            Work::DeviceToDevice { to, from, bytes } => self.copy(*to, *from, *bytes),
            Work::Fill { to, value, count } => self.write("a fill", *to, &value.repeat(*count)),
            Work::Product(product) => self.product(product),
            Work::HostCall { function, data } => {
                in_host_call(|| function(*data as Handle));
                self.renew_pending();
                SUCCESS
            }
            Work::Allocate { address, bytes } => match self.memory.allocate_at(*address, *bytes) {
                true => SUCCESS,
                false => INVALID_VALUE,
            },
            Work::Free { address } => {
                self.freeing.remove(address);
                match self.memory.free(*address) {
                    true => SUCCESS,
                    false => INVALID_VALUE,
                }
            }
        }
    }

    fn copy_to_host(&mut self, to: usize, from: u64, bytes: usize) -> i32 {
        if bytes == 0 {
            return SUCCESS;
        }
        match self.memory.place(from, bytes) {
            Ok(place) => {
                put_bytes(to as *mut u8, &place.bytes[place.start..place.start + bytes]);
                SUCCESS
            }
            Err(nobody) => self.refuse("a copy to the host", nobody),
        }
    }

    fn write(&mut self, call: &str, to: u64, data: &[u8]) -> i32 {
        if data.is_empty() {
            return SUCCESS;
        }
        match self.memory.place(to, data.len()) {
            Ok(place) => {
                place.bytes[place.start..place.start + data.len()].copy_from_slice(data);
                place.shadow.set_written(place.start, data.len(), true);
                SUCCESS
            }
            Err(nobody) => self.refuse(call, nobody),
        }
    }

    /// Copies bytes together with which of them were written.
    fn copy(&mut self, to: u64, from: u64, bytes: usize) -> i32 {
        if bytes == 0 {
            return SUCCESS;
        }
        let (data, written) = match self.memory.place(from, bytes) {
            Ok(place) => {
                let data = place.bytes[place.start..place.start + bytes].to_vec();
                (data, place.shadow.written(place.start, bytes).to_vec())
            }
            Err(nobody) => return self.refuse("a copy on the device, reading", nobody),
        };
        match self.memory.place(to, bytes) {
            Ok(place) => {
                place.bytes[place.start..place.start + bytes].copy_from_slice(&data);
                place.shadow.copy_written(place.start, &written);
                SUCCESS
            }
            Err(nobody) => self.refuse("a copy on the device, writing", nobody),
        }
    }
}
