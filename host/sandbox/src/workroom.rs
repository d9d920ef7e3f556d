//! Who is at work for one sandbox: many together, or one alone.
//!
//! The wall clock is no verdict on a busy machine. What met it is therefore tried again alone: it waits until every
//! guest and compiler of the sandbox has come to rest, and none begins before it is done. What other programs do on
//! the machine, and what the host does beside its sandbox, is not covered.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Held while something untrusted runs, and never twice by one thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workroom(Arc<RwLock<()>>);

impl Workroom {
    /// Work like any other.
    pub(crate) fn together(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work beside which there is none.
    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
