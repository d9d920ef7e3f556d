//! Both norms against the CPU's, with rows of every kind: odd ones, wide ones, and ones that do not begin at whole 16 bytes.

use crate::parity::{WRITES, down, shapes, up};
use crate::support::{assert_close, random, tolerance};
use kernels::Write::{self, Accumulate};
use kernels::cuda::{Buffer, Device, Real};
use kernels::{layernorm, rmsnorm};
use lossbox_kernels as kernels;

/// Rows that take a block more than one load of 16 bytes per thread.
const WIDE: (usize, usize) = (3, 2_064);
/// More rows than columns, each row at 16 bytes.
const NARROW: (usize, usize) = (40, 16);

/// Memory of several arrays, of which the one with a given number begins one number too late.
struct There<'a> {
    device: &'a Device,
    late: Option<usize>,
}

impl There<'_> {
    fn from(&self, array: usize) -> usize {
        usize::from(self.late == Some(array))
    }

    fn up<R: Real>(&self, array: usize, values: &[f32]) -> Buffer<R> {
        up(self.device, &[&[f32::NAN][..self.from(array)], values].concat())
    }

    /// What a kernel overwrites: NaN wherever it does not.
    fn blank<R: Real>(&self, array: usize, len: usize) -> Buffer<R> {
        self.up(array, &vec![f32::NAN; len])
    }

    fn down<R: Real>(&self, array: usize, buffer: &Buffer<R>) -> Vec<f32> {
        down(self.device, buffer).split_off(self.from(array))
    }
}

/// All shapes with both ways to write, then each of the arrays too late for 16 bytes.
fn cases(n_arrays: usize) -> impl Iterator<Item = ((usize, usize), Write, Option<usize>)> {
    let all = shapes().chain([WIDE, NARROW]).flat_map(|shape| WRITES.map(|w| (shape, w, None)));
    // More rows than a reduction has blocks, each of more than one load of 16 bytes per thread.
    let both = std::iter::once(((513, 2_064), Accumulate, None));
    all.chain(both).chain((0..n_arrays).map(|late| ((3, 64), Accumulate, Some(late))))
}

pub(crate) fn check_rmsnorm<R: Real>(device: &Device) {
    for ((rows, width), write, late) in cases(5) {
        let there = There { device, late };
        let settings = rmsnorm::cuda::Settings {
            epsilon: 1e-5,
            offset: if width % 2 == 0 { 1.0 } else { 0.0 },
        };
        let (x, w) = (random::<R>(rows * width, 1), random::<R>(width, 2));
        let (dy, mut dx, mut dw) =
            (random::<R>(rows * width, 3), random::<R>(rows * width, 4), random::<f32>(width, 5));
        let (x_there, w_there) = (there.up::<R>(0, &x), there.up::<R>(1, &w));
        let (dy_there, mut dx_there) = (there.up::<R>(2, &dy), there.up::<R>(3, &dx));
        let (mut y_there, mut dw_there) =
            (there.blank::<R>(4, rows * width), up::<f32>(device, &dw));
        let mut rstd_there = up::<f32>(device, &vec![f32::NAN; rows]);
        let (x_view, w_view) = (&x_there.slice(there.from(0)..), &w_there.slice(there.from(1)..));
        rmsnorm::cuda::forward(
            device,
            &mut y_there.slice_mut(there.from(4)..),
            &mut rstd_there.as_view_mut(),
            x_view,
            w_view,
            settings,
        )
        .unwrap();
        rmsnorm::cuda::backward(
            device,
            &mut dx_there.slice_mut(there.from(3)..),
            &mut dw_there.as_view_mut(),
            &dy_there.slice(there.from(2)..),
            x_view,
            w_view,
            &rstd_there.as_view(),
            settings.offset,
            write,
        )
        .unwrap();

        let (mut y, mut rstd) = (vec![0.0; rows * width], vec![0.0; rows]);
        rmsnorm::forward(&mut y, &mut rstd, &x, &w, settings.epsilon, settings.offset);
        rmsnorm::backward(&mut dx, &mut dw, &dy, &x, &w, &rstd, settings.offset, write, Accumulate);
        assert_close("y", &there.down(4, &y_there), &y, tolerance::<R>());
        assert_close("rstd", &down(device, &rstd_there), &rstd, 1e-5);
        if width > 1 || write == Accumulate {
            // With one column dx is the difference of two equal numbers.
            assert_close("dx", &there.down(3, &dx_there), &dx, tolerance::<R>());
        }
        assert_close("dweight", &down(device, &dw_there), &dw, 1e-5);
    }
}

pub(crate) fn check_layernorm<R: Real>(device: &Device) {
    for ((rows, width), write, late) in cases(6) {
        if width == 1 {
            // A single column has no variance: its rstd is ε's alone, and differences of equal numbers are left.
            continue;
        }
        let there = There { device, late };
        // Rows with a mean that squares would drown the variance in.
        let mean = if width == 130 { 24.0 } else { 0.0 };
        let x = random::<R>(rows * width, 1).into_iter();
        let x: Vec<f32> = x.map(|x| R::from(x + mean).into()).collect();
        let (w, b) = (random::<R>(width, 2), random::<R>(width, 6));
        let (dy, mut dx) = (random::<R>(rows * width, 3), random::<R>(rows * width, 4));
        let (mut dw, mut db) = (random::<f32>(width, 5), random::<f32>(width, 7));
        let (x_there, w_there, b_there) =
            (there.up::<R>(0, &x), there.up::<R>(1, &w), there.up::<R>(2, &b));
        let (dy_there, mut dx_there) = (there.up::<R>(3, &dy), there.up::<R>(4, &dx));
        let (mut dw_there, mut db_there) = (up::<f32>(device, &dw), up::<f32>(device, &db));
        let mut y_there = there.blank::<R>(5, rows * width);
        let [mut mean_there, mut rstd_there] =
            [(); 2].map(|()| up::<f32>(device, &vec![f32::NAN; rows]));
        let statistics = layernorm::cuda::Statistics {
            mean: &mut mean_there.as_view_mut(),
            rstd: &mut rstd_there.as_view_mut(),
        };
        let (x_view, w_view) = (&x_there.slice(there.from(0)..), &w_there.slice(there.from(1)..));
        layernorm::cuda::forward(
            device,
            &mut y_there.slice_mut(there.from(5)..),
            statistics,
            x_view,
            w_view,
            &b_there.slice(there.from(2)..),
            1e-5,
        )
        .unwrap();
        layernorm::cuda::backward(
            device,
            &mut dx_there.slice_mut(there.from(4)..),
            &mut dw_there.as_view_mut(),
            &mut db_there.as_view_mut(),
            &dy_there.slice(there.from(3)..),
            x_view,
            &mean_there.as_view(),
            &rstd_there.as_view(),
            w_view,
            write,
        )
        .unwrap();

        let (mut y, mut mean, mut rstd) =
            (vec![0.0; rows * width], vec![0.0; rows], vec![0.0; rows]);
        layernorm::forward(&mut y, &mut mean, &mut rstd, &x, &w, &b, 1e-5);
        layernorm::backward(
            &mut dx, &mut dw, &mut db, &dy, &x, &mean, &rstd, &w, write, Accumulate,
        );
        assert_close("y", &there.down(5, &y_there), &y, tolerance::<R>());
        assert_close("mean", &down(device, &mean_there), &mean, 1e-5);
        assert_close("rstd", &down(device, &rstd_there), &rstd, 1e-5);
        assert_close("dx", &there.down(4, &dx_there), &dx, tolerance::<R>());
        assert_close("dweight", &down(device, &dw_there), &dw, 1e-5);
        assert_close("dbias", &down(device, &db_there), &db, 1e-5);
    }
}
