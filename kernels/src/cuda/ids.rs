//! Numbers that index memory on the device, checked before they go there.

use super::{Buffer, Device, Fault, Packer, Parcel, Piece};

/// Tokens, positions or lengths on the device, all below a limit.
#[derive(Debug)]
pub struct Ids {
    buffer: Piece<u32>,
    limit: usize,
}

impl Ids {
    /// Copies ids to the device, at least one.
    ///
    /// # Errors
    /// [`Fault`] where the copy fails. An id that is not below `limit` is a programming error and panics.
    pub fn upload(device: &Device, ids: &[u32], limit: usize) -> Result<Self, Fault> {
        Parcel::alone(device, |packer| Self::pack(packer, ids, limit))
    }

    /// The same for ids that travel with others.
    ///
    /// # Errors
    /// The same.
    pub fn pack(packer: &mut Packer, ids: &[u32], limit: usize) -> Result<Self, Fault> {
        if let Some(id) = ids.iter().find(|&&id| id as usize >= limit) {
            panic!("{id} is not below the limit of {limit}");
        }
        Ok(Self { buffer: packer.put(ids)?, limit })
    }

    /// How many.
    pub fn n_ids(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn buffer(&self) -> &Buffer<u32> {
        &self.buffer
    }

    /// The ids as indices of something with `n` rows.
    #[track_caller]
    pub(crate) fn check(&self, n: usize) {
        assert!(self.limit <= n, "ids below {} do not index {n} rows", self.limit);
    }
}
