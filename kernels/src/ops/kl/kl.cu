// The Kullback–Leibler divergence of two softmax distributions: Σ_v p(v)·(ln p(v) − ln q(v)). No gradient.
//
// Logits f32 [rows, vocabulary], kl f32 [rows]. One block per row, three passes; sums of exponentials and of differences are
// f64. Bytes: 8·rows·vocabulary, later passes from the caches. FLOPs: 11·rows·vocabulary, 5 of them in f64.

__device__ inline double log_sum_exp(const float* logits, uint vocabulary) {
    float top = -infinity();
    for (uint v = threadIdx.x; v < vocabulary; v += blockDim.x) top = fmaxf(top, logits[v]);
    top = block_max(top);
    double sum = 0.0;
    for (uint v = threadIdx.x; v < vocabulary; v += blockDim.x) sum += expf(logits[v] - top);
    return top + log(block_sum(sum));
}

extern "C" __global__ void kl_divergence(float* kl, const float* p_logits, const float* q_logits, uint vocabulary) {
    const float* p = p_logits + (size_t)blockIdx.x * vocabulary;
    const float* q = q_logits + (size_t)blockIdx.x * vocabulary;
    const double p_lse = log_sum_exp(p, vocabulary), q_lse = log_sum_exp(q, vocabulary);
    double sum = 0.0;
    for (uint v = threadIdx.x; v < vocabulary; v += blockDim.x)
        sum += expf(p[v] - (float)p_lse) * ((double)p[v] - q[v] - (p_lse - q_lse));
    sum = block_sum(sum);
    if (threadIdx.x == 0) kl[blockIdx.x] = (float)sum;
}
