//! What cuBLASLt does with a product on its way to memory: a bias, GELU and its slope, the sums of an operand.
//!
//! `D = f(alpha op(A) op(B) + beta C)`, computed in f32 before anything is rounded. A bias has an element for each row of D;
//! the auxiliary matrix holds what GELU was given, in D's type. GELU is the approximation by tanh, which is the library's.

use super::products::{Layout, Product};
use super::state::{Driver, with};
use super::{SUCCESS, calls};

/// `cublasLtEpilogue_t`.
const DEFAULT: i64 = 1;
const BIAS: i64 = 4;
const GELU_AUX: i64 = 160;
const GELU_AUX_BIAS: i64 = 164;
const DGELU: i64 = 192;
const BGRADB: i64 = 512;

/// Attributes of a description.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue {
    kind: i64,
    /// Read where one is added, written where one's gradient is asked for.
    bias: u64,
    auxiliary: u64,
    auxiliary_ld: i64,
    /// `cudaDataType_t` of the bias; D's where it is not said.
    bias_type: Option<i32>,
}

impl Default for Epilogue {
    fn default() -> Self {
        Self { kind: DEFAULT, bias: 0, auxiliary: 0, auxiliary_ld: 0, bias_type: None }
    }
}

impl Epilogue {
    /// Takes an attribute; false where it, or its value, is not emulated.
    pub(crate) fn set(&mut self, attribute: i32, value: i64) -> bool {
        match attribute {
            7 => self.kind = value,
            8 => self.bias = value as u64,
            11 => self.auxiliary = value as u64,
            12 => self.auxiliary_ld = value,
            26 => self.bias_type = Some(value as i32),
            _ => return false,
        }
        [DEFAULT, BIAS, GELU_AUX, GELU_AUX_BIAS, DGELU, BGRADB].contains(&self.kind)
    }

    fn has_bias(&self) -> bool {
        [BIAS, GELU_AUX_BIAS, BGRADB].contains(&self.kind)
    }

    fn has_auxiliary(&self) -> bool {
        [GELU_AUX, GELU_AUX_BIAS, DGELU].contains(&self.kind)
    }

    /// Whether the library has an algorithm: it has none for rows in order, batches, a bias of another type, or an auxiliary matrix whose columns do not
    /// begin at whole 8 elements.
    pub(crate) fn is_supported(&self, d: &Layout) -> bool {
        let auxiliary = self.auxiliary_ld % 8 == 0 && self.auxiliary_ld >= d.rows() as i64;
        let bias = self.bias_type.is_none_or(|ty| ty == d.ty());
        self.kind == DEFAULT
            || (bias
                && d.is_single_in_columns()
                && (auxiliary || !self.has_auxiliary())
                && !are_refused())
    }

    /// Whether the memory that it needs is there, and begins where an algorithm can load 16 bytes at a time.
    pub(crate) fn is_complete(&self) -> bool {
        let is_there = |address: u64| address != 0 && address.is_multiple_of(16);
        (is_there(self.bias) || !self.has_bias())
            && (is_there(self.auxiliary) || !self.has_auxiliary())
    }
}

fn are_refused() -> bool {
    with(|driver| driver.refuses_epilogues)
}

impl Driver {
    /// Turns the sums [m, n], row after row, into what D gets. `b` is op(B), column after column. None where memory is nobody's.
    pub(crate) fn finish(
        &mut self,
        product: &Product,
        sums: &mut [f32],
        b: &[f32],
        (m, n, k): (u64, u64, u64),
    ) -> Option<()> {
        let epilogue = product.epilogue();
        let ty = product.result_type();
        let vector = |len| (epilogue.bias, Layout::columns(ty, len, 1, len as i64));
        let auxiliary = (epilogue.auxiliary, Layout::columns(ty, m, n, epilogue.auxiliary_ld));
        if [BIAS, GELU_AUX_BIAS].contains(&epilogue.kind) {
            let bias = self.read_matrix("the bias", vector(m), false, 0)?;
            for (sums, bias) in sums.chunks_exact_mut(n as usize).zip(bias) {
                sums.iter_mut().for_each(|sum| *sum += bias);
            }
        }
        match epilogue.kind {
            GELU_AUX | GELU_AUX_BIAS => {
                self.write_matrix("the auxiliary matrix", auxiliary, 0, sums)?;
                sums.iter_mut().for_each(|sum| *sum = gelu(*sum).0);
            }
            DGELU => {
                let given = self.read_matrix("the auxiliary matrix", auxiliary, false, 0)?;
                for (sum, given) in sums.iter_mut().zip(given) {
                    *sum *= gelu(given).1;
                }
            }
            BGRADB => {
                let columns = b.chunks_exact(k as usize);
                let gradient: Vec<f32> = columns.map(|column| column.iter().sum()).collect();
                self.write_matrix("the bias's gradient", vector(n), 0, &gradient)?;
            }
            _ => {}
        }
        Some(())
    }
}

/// GELU and its slope.
fn gelu(x: f32) -> (f32, f32) {
    const SCALE: f32 = 0.797_884_6; // √(2/π)
    const CUBIC: f32 = 0.044_715;
    let tanh = (SCALE * (x + CUBIC * x * x * x)).tanh();
    let inner = SCALE * (1.0 + 3.0 * CUBIC * x * x);
    let value = 0.5 * x * (1.0 + tanh);
    (value, 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner)
}

calls! {
    /// From now on cuBLASLt has no algorithm with an epilogue, or has them again.
    fn cuda_emulator_refuse_epilogues(refuses: i32) {
        with(|driver| driver.refuses_epilogues = refuses != 0);
        SUCCESS
    }
}
