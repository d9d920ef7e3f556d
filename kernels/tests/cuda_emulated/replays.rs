//! Captured work on a device that is not watched.

use crate::device::{another, device};
use crate::parity::down;
use crate::support::{assert_close, random};
use cuda_emulator::Emulator;
use kernels::cuda::{Buffer, Device, Fault, Parcel, Replay, Staged};
use kernels::{adamw, clip, embedding};
use lossbox_kernels as kernels;

/// A device of its own beside the one that all tests share, and whose turn it is.
macro_rules! unwatched {
    ($what:literal) => {{
        let Some(session) = device($what) else { return };
        (session.emulator(), another(), session)
    }};
}

fn doubled(device: &Device, y: &mut Buffer<f32>) -> Result<(), Fault> {
    embedding::cuda::scale(device, &mut y.as_view_mut(), 2.0)
}

fn launches(emulator: Emulator, f: impl FnOnce()) -> u64 {
    let before = emulator.n_graph_launches();
    f();
    emulator.n_graph_launches() - before
}

#[test]
fn work_is_captured_when_it_comes_again() {
    let (emulator, device, _session) = unwatched!("work_is_captured_when_it_comes_again");
    let mut y = device.upload(&[1.0_f32, -3.0]).unwrap();
    let mut replay = Replay::default();
    let expected = [(2.0, 0), (4.0, 1), (8.0, 1), (16.0, 1)];
    for (factor, n) in expected {
        let n_launches =
            launches(emulator, || replay.run(&device, || doubled(&device, &mut y)).unwrap());
        assert_eq!((down(&device, &y), n_launches), (vec![factor, -3.0 * factor], n));
    }
    // What the host says in between is what the graph finds.
    device.copy_in(&mut y.as_view_mut(), &[5.0, 7.0]).unwrap();
    replay.run(&device, || unreachable!("captured")).unwrap();
    assert_eq!(down(&device, &y), [10.0, 14.0]);
}

/// The next memory that is asked for is not there, nor when what the pool keeps has gone back.
fn no_room_once(emulator: Emulator) {
    const OUT_OF_MEMORY: i32 = 2;
    (0..2).for_each(|_| emulator.fail("cuMemAllocAsync", OUT_OF_MEMORY));
}

/// A capture takes scratch memory of its own. Where that is not there, the work is carried out as before, what the capture took
/// goes back, and no other capture is tried.
#[test]
fn work_whose_capture_has_no_room_is_launched() {
    let (emulator, device, _session) = unwatched!("work_whose_capture_has_no_room_is_launched");
    let mut y = device.upload(&[1.0_f32, -3.0]).unwrap();
    let (mut replay, mut n_works) = (Replay::default(), 0);
    let mut run = || {
        let n_launches = launches(emulator, || {
            let work = || {
                n_works += 1;
                let _small = device.scratch::<u8>(1 << 20)?;
                if n_works == 2 {
                    no_room_once(emulator);
                }
                let _large = device.scratch::<u8>(10 << 20)?;
                doubled(&device, &mut y)
            };
            replay.run(&device, work).unwrap();
        });
        (down(&device, &y)[0], n_launches)
    };
    assert_eq!(run(), (2.0, 0));
    let (free, _) = device.memory().unwrap();
    assert_eq!(run(), (4.0, 0));
    assert_eq!(device.memory().unwrap().0, free, "a capture in vain keeps nothing");
    assert_eq!(run(), (8.0, 0));
    let reason = device.refused_capture().expect("a capture failed");
    assert!(reason.contains("no room for a kernel's scratch memory, 10485760 bytes"), "{reason}");
}

/// What the pool keeps is memory like any other: it goes back where there is no room.
#[test]
fn the_pool_gives_way() {
    let (emulator, device, _session) = unwatched!("the_pool_gives_way");
    let total = device.memory().unwrap().1;
    drop(device.scratch::<u8>(10 << 20).unwrap());
    let (free, _) = device.memory().unwrap();
    emulator.set_memory_bytes(total - free);
    let buffer = device.zeros::<u8>(8 << 20);
    let other = device.zeros::<u8>(8 << 20);
    emulator.set_memory_bytes(total);
    assert_eq!(buffer.unwrap().len(), 8 << 20);
    other.expect_err("16 MiB do not fit into 10");
}

/// What graphs were captured before have their memory still after another capture that found no room.
#[test]
fn a_capture_without_room_leaves_graphs_alone() {
    let (emulator, device, _session) = unwatched!("a_capture_without_room_leaves_graphs_alone");
    let values = random::<f32>(3000, 1);
    let there = device.upload(&values).unwrap();
    let mut norm = clip::cuda::Norm::new(&device).unwrap();
    let (mut norms, mut large) = (Replay::default(), Replay::default());
    let mut check = || {
        norms
            .run(&device, || clip::cuda::global_norm(&device, &mut norm, &there.as_view(), 1.0))
            .unwrap();
        assert!((norm.value(&device).unwrap() / clip::global_norm(&values) - 1.0).abs() < 1e-13);
    };
    (0..2).for_each(|_| check());
    let mut run_large = || {
        let work = || device.scratch::<u8>(10 << 20).map(drop);
        launches(emulator, || large.run(&device, work).unwrap())
    };
    assert_eq!(run_large(), 0);
    no_room_once(emulator);
    assert_eq!(run_large(), 0);
    // Whoever takes memory now would get that of the graph, had it been given back.
    let _other = device.upload(&[7_u8; 1 << 10]).err();
    assert_eq!(launches(emulator, check), 1);
}

/// Work of which the driver makes no graph is launched, and the call that failed is told.
#[test]
fn work_without_a_graph_is_launched() {
    const NOT_SUPPORTED: i32 = 801;
    for call in ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"] {
        let (emulator, device, _session) = unwatched!("work_without_a_graph_is_launched");
        let mut y = device.upload(&[1.0_f32]).unwrap();
        let mut replay = Replay::default();
        let mut run = || replay.run(&device, || doubled(&device, &mut y)).unwrap();
        run();
        assert_eq!(device.refused_capture(), None);
        emulator.fail(call, NOT_SUPPORTED);
        assert_eq!(launches(emulator, || (0..3).for_each(|_| run())), 0);
        assert_eq!(down(&device, &y), [16.0]);
        let reason = device.refused_capture().expect("a capture failed");
        assert!(
            reason.starts_with(&format!("{} failed", call.trim_end_matches("_v2"))),
            "{reason}"
        );
    }
}

/// Scratch memory of captured work, a copy and a clearing within it; and that of others, held meanwhile.
#[test]
fn captured_work_has_scratch_memory_of_its_own() {
    let (_, device, _session) = unwatched!("captured_work_has_scratch_memory_of_its_own");
    let values = random::<f32>(3000, 1);
    let there = device.upload(&values).unwrap();
    let expected = clip::global_norm(&values);
    let mut norm = clip::cuda::Norm::new(&device).unwrap();
    let (mut copied, mut cleared) =
        (device.zeros::<f32>(3000).unwrap(), device.upload(&[1_u32; 7]).unwrap());
    let mut replay = Replay::default();
    for _ in 0..3 {
        let mut held = device.scratch::<f64>(1024).unwrap();
        device.copy_in(&mut held.as_view_mut(), &[9.0; 1024]).unwrap();
        device.clear(&mut copied.as_view_mut()).unwrap();
        device.copy_in(&mut cleared.as_view_mut(), &[1; 7]).unwrap();
        replay
            .run(&device, || {
                clip::cuda::global_norm(&device, &mut norm, &there.as_view(), 1.0)?;
                device.copy(&mut copied.as_view_mut(), &there.as_view())?;
                device.clear(&mut cleared.as_view_mut())
            })
            .unwrap();
        assert!((norm.value(&device).unwrap() / expected - 1.0).abs() < 1e-13);
        assert_eq!(down(&device, &copied), values);
        assert_eq!(device.download(&cleared.as_view()).unwrap(), [0; 7]);
        assert_eq!(device.download(&held.as_view()).unwrap(), [9.0; 1024]);
    }
}

/// Steps of an update differ in their scalars alone.
#[test]
fn scalars_of_a_step_reach_a_captured_update() {
    let (emulator, device, _session) = unwatched!("scalars_of_a_step_reach_a_captured_update");
    let n = 300;
    let groups = [
        adamw::Group { range: 0..100, weight_decay: 0.0 },
        adamw::Group { range: 100..n, weight_decay: 0.1 },
    ];
    let (mut weights, mut first, mut second) = (random::<f32>(n, 1), vec![0.0; n], vec![0.0; n]);
    let gradients = random::<f32>(n, 2);
    let mut weights_there = device.upload(&weights).unwrap();
    let (mut first_there, mut second_there) = (device.zeros(n).unwrap(), device.zeros(n).unwrap());
    let (gradients_there, factor) =
        (device.upload(&gradients).unwrap(), device.upload(&[1.0_f32]).unwrap());
    let mut scalars = adamw::cuda::Scalars::new(&device, groups.len()).unwrap();
    let mut replay = Replay::default();
    for step in 1..=4 {
        let learning_rate = 1e-2 * step as f64;
        let settings = adamw::Settings { learning_rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-2 };
        scalars.set(&device, step, &settings, &groups).unwrap();
        let n_launches = launches(emulator, || {
            let update = || {
                let moments = adamw::cuda::Moments {
                    first: &mut first_there.as_view_mut(),
                    second: &mut second_there.as_view_mut(),
                };
                let (weights, gradients) =
                    (&mut weights_there.as_view_mut(), &gradients_there.as_view());
                adamw::cuda::step::<f32>(
                    &device, weights, None, moments, gradients, &factor, &scalars, &groups,
                )
            };
            replay.run(&device, update).unwrap();
        });
        assert_eq!(n_launches, u64::from(step > 1));
        let moments = adamw::Moments { first: &mut first, second: &mut second };
        adamw::step(&mut weights, moments, &gradients, 1.0, step, &settings, &groups);
        assert_close("weights", &down(&device, &weights_there), &weights, 1e-6);
    }
}

/// Work that fails, or panics, leaves nothing that is captured for ever.
#[test]
fn a_capture_ends_however_its_work_ends() {
    let (emulator, device, _session) = unwatched!("a_capture_ends_however_its_work_ends");
    let mut y = device.upload(&[1.0_f32]).unwrap();
    let mut fails = Replay::default();
    fails.run(&device, || Ok(())).unwrap();
    let failed = fails.run(&device, || Err(Fault::NoDriver));
    assert!(matches!(failed, Err(Fault::NoDriver)));
    let mut replay = Replay::default();
    replay.run(&device, || doubled(&device, &mut y)).unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        replay.run(&device, || panic!("within a capture"))
    }));
    assert!(panicked.is_err());
    assert_eq!(down(&device, &y), [2.0], "what was captured in vain was not carried out");
    let n_launches =
        launches(emulator, || replay.run(&device, || doubled(&device, &mut y)).unwrap());
    assert_eq!((down(&device, &y), n_launches), (vec![4.0], 1));
}

/// What another thread puts into the device's stream meanwhile is carried out, and is no part of the graph.
#[test]
fn a_capture_is_of_one_thread() {
    let (_, device, _session) = unwatched!("a_capture_is_of_one_thread");
    let mut ours = device.upload(&[1.0_f32]).unwrap();
    let mut theirs = device.upload(&[1.0_f32]).unwrap();
    let mut replay = Replay::default();
    replay.run(&device, || doubled(&device, &mut ours)).unwrap();
    let meanwhile = || {
        doubled(&device, &mut ours)?;
        std::thread::scope(|scope| {
            scope.spawn(|| doubled(&device, &mut theirs)).join().expect("it does not panic")
        })
    };
    replay.run(&device, meanwhile).unwrap();
    replay.run(&device, || unreachable!("captured")).unwrap();
    assert_eq!((down(&device, &ours), down(&device, &theirs)), (vec![8.0], vec![2.0]));
}

/// Arrays of the same lengths lie where they lay; more of them make room, and an empty parcel is none.
#[test]
fn a_parcel_holds_what_was_packed() {
    let (_, device, _session) = unwatched!("a_parcel_holds_what_was_packed");
    let mut parcel = Parcel::default();
    let mut addresses = Vec::new();
    for round in 0..4_u32 {
        let long: Vec<u32> = (0..[10, 10, 1000, 10][round as usize]).map(|i| i + round).collect();
        let sent = parcel.send(&device, |packer| {
            let pieces = (packer.put(&long)?, packer.put(&[f64::from(round)])?);
            assert_eq!(packer.lens(), [long.len(), 1]);
            Ok(pieces)
        });
        let (numbers, one) = sent.unwrap();
        assert_eq!(device.download(&numbers.as_view()).unwrap(), long);
        assert_eq!(device.download(&one.as_view()).unwrap(), [f64::from(round)]);
        addresses.push(parcel.address());
    }
    assert_eq!((addresses[0], addresses[2]), (addresses[1], addresses[3]));
    assert_ne!(addresses[1], addresses[2]);
    Parcel::alone(&device, |_| Ok(())).unwrap();
}

/// Many numbers go in pieces: none is left out, doubled or sent before it was written.
#[test]
fn numbers_of_several_pieces_arrive() {
    let (_, device, _session) = unwatched!("numbers_of_several_pieces_arrive");
    for n in [1_u32, 1 << 20, (5 << 19) + 3] {
        let number = |i: u32| i.wrapping_mul(0x9e37_79b9);
        let mut there = device.upload_many((0..n).map(number)).unwrap();
        let is_there = |expected: &dyn Fn(u32) -> u32, there: &Buffer<u32>| {
            let got = device.download(&there.as_view()).unwrap();
            got.len() == n as usize && got.iter().zip(0..).all(|(&got, i)| got == expected(i))
        };
        assert!(is_there(&number, &there), "{n} numbers");
        device.copy_in_many(&mut there.as_view_mut(), (0..n).map(|i| !number(i))).unwrap();
        assert!(is_there(&|i| !number(i), &there), "{n} numbers over others");
    }
}

/// The pinned memory is used again as soon as the copy before is done, and not earlier.
#[test]
fn staged_numbers_arrive() {
    let (_, device, _session) = unwatched!("staged_numbers_arrive");
    let mut staged = Staged::<f32>::default();
    for n in [3, 300, 5] {
        let numbers = random::<f32>(n, n as u64);
        let (mut one, mut other) =
            (device.zeros::<f32>(n).unwrap(), device.zeros::<f32>(n).unwrap());
        staged.upload(&device, &mut one.as_view_mut(), numbers.iter().copied()).unwrap();
        staged.upload(&device, &mut other.as_view_mut(), numbers.iter().map(|x| -x)).unwrap();
        assert_eq!(down(&device, &one), numbers);
        assert_eq!(down(&device, &other), numbers.iter().map(|x| -x).collect::<Vec<f32>>());
    }
}
