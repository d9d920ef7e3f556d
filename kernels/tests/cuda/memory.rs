//! Memory that is handed out again, on the first device.

use crate::device::device;
use crate::parity::down;
use kernels::cuda::{Arena, Staged};
use lossbox_kernels as kernels;

#[test]
fn pieces_of_an_arena_lie_side_by_side() {
    let Some(session) = device("pieces_of_an_arena_lie_side_by_side") else { return };
    let device = &*session;
    let take =
        |arena: &mut Arena| (arena.take::<f32>(3), arena.take::<u32>(100), arena.take::<f64>(1));
    let mut plan = Arena::plan(device);
    let planned = take(&mut plan);
    assert_eq!((planned.0.len(), plan.taken_bytes()), (0, 256 + 512 + 256));
    let mut arena = Arena::new(device, plan.taken_bytes(), "a test").unwrap();
    for round in 0..2 {
        let (mut a, mut b, mut c) = take(&mut arena);
        device.copy_in(&mut a.as_view_mut(), &[1.0, 2.0, round as f32]).unwrap();
        device.copy_in(&mut b.as_view_mut(), &[7; 100]).unwrap();
        device.clear(&mut c.as_view_mut()).unwrap();
        assert_eq!(down(device, &a), [1.0, 2.0, round as f32]);
        assert_eq!(device.download(&b.as_view()).unwrap(), [7; 100]);
        assert_eq!(device.download(&c.as_view()).unwrap(), [0.0]);
        drop((a, b, c));
        arena.reset();
    }
    let held = arena.take::<f32>(1);
    let reset = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| arena.reset()));
    assert!(reset.is_err(), "a piece that is held must stop a reset");
    drop(held);
}

/// A place on the host that grows, and copies that something is put into the stream behind.
#[test]
fn staged_numbers_are_waited_for() {
    let Some(session) = device("staged_numbers_are_waited_for") else { return };
    let device = &*session;
    let mut staged = Staged::<u32>::default();
    assert!(staged.values().unwrap().is_empty(), "nothing was copied yet");
    for n in [3, 1000, 7] {
        let numbers: Vec<u32> = (0..n).collect();
        let mut there = device.upload(&numbers).unwrap();
        staged.download(device, &there.as_view()).unwrap();
        device.clear(&mut there.as_view_mut()).unwrap();
        assert_eq!(staged.values().unwrap(), numbers);
    }
}
