// Drawing a token from the softmax of logits: the first one whose cumulative weight exceeds uniform·total.
//
// Logits f32 [rows, vocabulary], ids, logp and uniforms (f64) [rows]. One block per row; thread t has the t-th stretch of the
// vocabulary, so that the order of the f64 sums is that of the tokens. Bytes: 4·rows·vocabulary, later passes from the caches.
// FLOPs: 5·rows·vocabulary. No backward.

const uint THREADS = 256;

// The first of the largest logits, one block per row. Bytes: 4·rows·vocabulary, the second pass from the caches. FLOPs: none.
extern "C" __global__ void sample_likeliest(uint* ids, const float* logits, uint vocabulary) {
    __shared__ uint firsts[THREADS];
    const float* row = logits + (size_t)blockIdx.x * vocabulary;
    float top = -infinity();
    for (uint v = threadIdx.x; v < vocabulary; v += THREADS) top = fmaxf(top, row[v]);
    top = block_max(top);
    uint first = vocabulary;
    for (uint v = threadIdx.x; v < vocabulary && first == vocabulary; v += THREADS)
        if (row[v] == top) first = v;
    firsts[threadIdx.x] = first;
    __syncthreads();
    if (threadIdx.x > 0) return;
    for (uint t = 1; t < THREADS; t++) first = min(first, firsts[t]);
    // Where no logit is a number.
    ids[blockIdx.x] = first < vocabulary ? first : 0;
}

// logits ← logits/temperature, in f64 and rounded once. One thread per element. Bytes: 8·n. FLOPs: n in f64.
extern "C" __global__ void sample_divide(float* logits, double temperature, size_t n) {
    const size_t i = element();
    if (i >= n) return;
    logits[i] = (float)((double)logits[i] / temperature);
}

extern "C" __global__ void sample_categorical(
    uint* ids, float* logp, const float* logits, const double* uniforms, uint vocabulary
) {
    __shared__ double sums[THREADS];
    const float* row = logits + (size_t)blockIdx.x * vocabulary;
    const uint stretch = (vocabulary + THREADS - 1) / THREADS;
    const uint first = threadIdx.x * stretch;
    const uint end = min(first + stretch, vocabulary);
    float top = -infinity();
    for (uint v = first; v < end; v++) top = fmaxf(top, row[v]);
    top = block_max(top);
    double sum = 0.0;
    for (uint v = first; v < end; v++) sum += expf(row[v] - top);
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x > 0) return;

    double total = 0.0;
    for (uint t = 0; t < THREADS; t++) total += sums[t];
    const double weight = uniforms[blockIdx.x] * total;
    double before = 0.0;
    uint chosen = 0;
    while (chosen + 1 < THREADS && before + sums[chosen] <= weight) before += sums[chosen++];
    // Where rounding leaves none, the last token of any weight.
    uint token = 0;
    for (uint v = chosen * stretch; v < vocabulary; v++) {
        const float p = expf(row[v] - top);
        before += p;
        if (p > 0.0f) token = v;
        if (before > weight) break;
    }
    ids[blockIdx.x] = token;
    logp[blockIdx.x] = (float)((double)row[token] - top - log(total));
}
