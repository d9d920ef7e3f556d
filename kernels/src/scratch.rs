//! Buffers that a thread keeps from one call to the next, so that a training step needs no new ones after the first.
//!
//! Each thread has a stack of buffers. A user takes one and gives it back when it is done; whoever needs one
//! meanwhile, be it a caller further up whose thread rayon lent to another task, takes the next. What a buffer holds at
//! first is whatever was left there. Nothing is ever returned to the system.

use std::cell::RefCell;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` with a buffer of `len` elements, whose values are arbitrary.
pub(crate) fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    let result = work(&mut buffer[..len]);
    BUFFERS.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

/// The same with several buffers.
pub(crate) fn with_parts<const N: usize, R>(
    lens: [usize; N],
    work: impl FnOnce([&mut [f32]; N]) -> R,
) -> R {
    with(lens.iter().sum(), |buffer| {
        let mut rest = buffer;
        work(lens.map(|len| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(len);
            rest = others;
            part
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_nested_users_are_different_and_stay() {
        let addresses = || {
            with(3, |outer| {
                let inner = with(5, |inner| {
                    assert_eq!(inner.len(), 5);
                    inner.as_ptr()
                });
                (outer.as_ptr(), inner)
            })
        };
        let (outer, inner) = addresses();
        assert_ne!(outer, inner);
        assert_eq!(addresses(), (outer, inner));
    }
}
