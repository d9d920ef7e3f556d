//! The residual connection: stream += branch.
//!
//! The gradient of both is the gradient of the sum, so backward is either nothing (when the branch's
//! backward adds into the stream's gradient) or the same addition.

mod cpu;
pub mod cuda;

use tracing::trace_span;

/// stream += branch, element by element; both of one length.
pub fn add(stream: &mut [f32], branch: &[f32]) {
    let _span = trace_span!("residual").entered();
    assert_eq!(stream.len(), branch.len(), "stream and branch differ in length");
    cpu::add(stream, branch);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::*;

    #[test]
    fn the_branch_is_added() {
        let mut stream = [1.0, 2.0, 3.0];
        add(&mut stream, &[10.0, 20.0, 30.0]);
        assert_eq!(stream, [11.0, 22.0, 33.0]);
    }

    #[test]
    fn same_bytes_on_any_number_of_threads() {
        let (stream, branch) = (random(50_001, 1), random(50_001, 2));
        assert_same_on_any_number_of_threads(|| {
            let mut sum = stream.clone();
            add(&mut sum, &branch);
            sum
        });
    }
}
