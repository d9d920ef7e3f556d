//! What one call may hold: memory over all memories together, tables, instances.
//!
//! wasmtime's own `StoreLimits` bounds each memory by itself. Whoever asks for more is stopped by a trap rather than
//! told, so that no result depends on how much there was.

use wasmtime::{Error, ResourceLimiter, Result, bail};

use crate::limits::{
    INSTANCES_MAX, MEMORIES_MAX, MEMORY_BYTES_MAX, TABLE_ELEMENTS_MAX, TABLES_MAX,
};

/// What the memories of a store have come to.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    memory_bytes: usize,
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let grown = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if grown > MEMORY_BYTES_MAX {
            bail!("memory of {grown} bytes, expected at most {MEMORY_BYTES_MAX}");
        }
        self.memory_bytes = grown;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        Err(error)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        if desired > TABLE_ELEMENTS_MAX {
            bail!("a table of {desired} elements, expected at most {TABLE_ELEMENTS_MAX}");
        }
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_are_bounded_together() {
        let mut bounds = Bounds::default();
        let half = MEMORY_BYTES_MAX / 2;
        assert!(bounds.memory_growing(0, half, None).expect("the first"));
        assert!(bounds.memory_growing(0, half, None).expect("the second"));
        assert!(bounds.memory_growing(half, half + 1, None).is_err());
        // What was refused is not counted.
        assert!(bounds.memory_growing(half, half, None).expect("as before"));
    }

    /// Each module brings one of its kind; the first that is too many is not made.
    #[test]
    fn a_store_holds_as_much_as_the_table_says_and_no_more() {
        let engine = wasmtime::Engine::default();
        for (module, n_most) in [
            ("(module)", INSTANCES_MAX),
            ("(module (memory 1 1))", MEMORIES_MAX),
            ("(module (table 1 1 funcref))", TABLES_MAX),
        ] {
            let bytes = wat::parse_str(module).expect("well formed");
            let compiled = wasmtime::Module::new(&engine, bytes).expect("valid");
            let mut store = wasmtime::Store::new(&engine, Bounds::default());
            store.limiter(|bounds| bounds);
            for n in 1..=n_most {
                let made = wasmtime::Instance::new(&mut store, &compiled, &[]);
                assert!(made.is_ok(), "{module} {n}: {:?}", made.err());
            }
            let beyond = wasmtime::Instance::new(&mut store, &compiled, &[]);
            assert!(beyond.is_err(), "{module}");
        }
    }

    #[test]
    fn a_table_is_bounded_by_itself() {
        let mut bounds = Bounds::default();
        assert!(bounds.table_growing(0, TABLE_ELEMENTS_MAX, None).is_ok());
        assert!(bounds.table_growing(0, TABLE_ELEMENTS_MAX + 1, None).is_err());
    }
}
