//! Buffers that a thread keeps from one call to the next, so that a training step needs no new ones after the first.
//!
//! Each thread has a stack of buffers. A user takes one and gives it back when it is done; whoever needs one
//! meanwhile, be it a caller further up whose thread rayon lent to another task, takes the next. What a buffer holds at
//! first is whatever was left there. Nothing is ever returned to the system.

use std::cell::RefCell;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Elements of a cache line: where buffers begin, so that no vector lies across two.
const LINE: usize = 16;

/// Runs `work` with a buffer of `len` elements, whose values are arbitrary.
pub(crate) fn with<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut buffer = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    if buffer.len() < len + LINE {
        buffer.resize(len + LINE, 0.0);
    }
    let start = buffer.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
    let result = work(&mut buffer[start..][..len]);
    BUFFERS.with_borrow_mut(|buffers| buffers.push(buffer));
    result
}

/// The same with several buffers, each of which begins a cache line.
pub(crate) fn with_parts<const N: usize, R>(
    lens: [usize; N],
    work: impl FnOnce([&mut [f32]; N]) -> R,
) -> R {
    with(lens.iter().map(|len| len.next_multiple_of(LINE)).sum(), |buffer| {
        let mut rest = buffer;
        work(lens.map(|len| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(len.next_multiple_of(LINE));
            rest = others;
            &mut part[..len]
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

    #[test]
    fn parts_begin_cache_lines_and_are_as_long_as_asked() {
        with_parts([3, 0, 17, 16], |parts| {
            assert_eq!(parts.each_ref().map(|part| part.len()), [3, 0, 17, 16]);
            for part in parts {
                assert_eq!(part.as_ptr().addr() % 64, 0);
            }
        });
    }
}
