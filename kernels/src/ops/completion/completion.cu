// From log-probs of tokens to sums over completions, and back. Completion c is tokens starts[c]..starts[c + 1].
//
// sums f64 and derivatives f32 [completions], logps and dlogps f32 [tokens], starts [completions + 1].
// Forward, one warp per completion, sums in f64 in an order that depends on the completion's length alone. Bytes: 4·tokens +
// 12·completions. FLOPs: tokens in f64. Backward, one warp per completion. Bytes: 4·tokens + 8·completions. FLOPs: none.

extern "C" __global__ void completion_forward(double* sums, const float* logps, const uint* starts, uint completions) {
    const size_t completion = element() / WARP;
    if (completion >= completions) return;
    const uint end = starts[completion + 1];
    double sum = 0.0;
    for (uint t = starts[completion] + lane(); t < end; t += WARP) sum += logps[t];
    sum = warp_sum(sum);
    if (lane() == 0) sums[completion] = sum;
}

extern "C" __global__ void completion_backward(
    float* dlogps, const float* derivatives, const uint* starts, uint completions
) {
    const size_t completion = element() / WARP;
    if (completion >= completions) return;
    const uint end = starts[completion + 1];
    const float derivative = derivatives[completion];
    for (uint t = starts[completion] + lane(); t < end; t += WARP) dlogps[t] = derivative;
}
