// The log-probability of given tokens, from logits that exist for one chunk of the vocabulary at a time: an online
// log-sum-exp over the chunks, the target's logit on the way. The products before and after are cuBLASLt's.
//
// logp = l[target] − lse with lse = ln Σ_v exp l[v], l capped if there is a cap; dl[v] = dlogp·(1[v = target] − exp(l[v] −
// lse))·cap′. A chunk holds tokens first_token to first_token + width − 1.
//
// logits f32 and dlogits real of the chunk [rows, width], their rows `stride` apart for cuBLASLt's sake: what lies between is
// neither read nor written. All others [rows]; s bytes per real.
// Accumulating, one block per row. Bytes: 4·rows·width, read twice, once from the caches. FLOPs: 5·rows·width.
// Backward, one block per row. Bytes: (4 + s)·rows·width. FLOPs: 5·rows·width.
// Moments, one block per row, for statistics. Bytes: 4·rows·width, read three times, twice from the caches. FLOPs:
// 7·rows·width. Capping, one thread per logit. Bytes: 8·n. FLOPs: 3·n.
// Rounding the sum of the chunks' dhidden, one thread per element. Bytes: (4 + s)·n. FLOPs: none.

// largest, sum and hit: the largest logit so far, Σ exp(l − largest) and the target's logit. The first chunk (first_token 0)
// overwrites what they held.
extern "C" __global__ void logprob_accumulate(
    float* largest, float* sum, float* hit, const float* logits, const uint* targets, uint width, uint stride,
    uint first_token, float cap
) {
    const float* row = logits + (size_t)blockIdx.x * stride;
    float top = -infinity();
    for (uint c = threadIdx.x; c < width; c += blockDim.x) top = fmaxf(top, capped(row[c], cap));
    top = block_max(top);
    float weight = 0.0f;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) weight += expf(capped(row[c], cap) - top);
    weight = block_sum(weight);
    if (threadIdx.x > 0) return;
    const uint target = targets[blockIdx.x];
    if (target >= first_token && target - first_token < width)
        hit[blockIdx.x] = capped(row[target - first_token], cap);
    if (first_token > 0) {
        const float former = largest[blockIdx.x], both = fmaxf(former, top);
        weight = sum[blockIdx.x] * expf(former - both) + weight * expf(top - both);
        top = both;
    }
    largest[blockIdx.x] = top;
    sum[blockIdx.x] = weight;
}

// What the entropy, the mean and the likeliest token need of a chunk, before logprob_accumulate has seen it: largest and sum are
// those of the chunks before. weighted = Σ exp(l − largest)·(l − largest), total = Σ l, best the first token with the largest
// logit. The first chunk overwrites what they held.
extern "C" __global__ void logprob_moments(
    float* weighted, float* total, uint* best, const float* largest, const float* sum, const float* logits,
    uint width, uint stride, uint first_token, float cap
) {
    const float* row = logits + (size_t)blockIdx.x * stride;
    float top = -infinity();
    for (uint c = threadIdx.x; c < width; c += blockDim.x) top = fmaxf(top, capped(row[c], cap));
    top = block_max(top);
    float weight = 0.0f, moment = 0.0f, all = 0.0f;
    // Columns stay below 2²⁴, where floats hold every one of them.
    float last_first = -infinity();
    for (uint c = threadIdx.x; c < width; c += blockDim.x) {
        const float logit = capped(row[c], cap), below = logit - top;
        const float p = expf(below);
        weight += p;
        moment += p * below;
        all += logit;
        if (logit == top) last_first = fmaxf(last_first, -(float)c);
    }
    weight = block_sum(weight);
    moment = block_sum(moment);
    all = block_sum(all);
    const uint place = (uint)-block_max(last_first);
    if (threadIdx.x > 0) return;
    uint likeliest = first_token + place;
    if (first_token > 0) {
        const float former = largest[blockIdx.x], both = fmaxf(former, top);
        const float of_former = expf(former - both), of_chunk = expf(top - both);
        moment = of_chunk * (moment + weight * (top - both));
        moment += of_former * (weighted[blockIdx.x] + sum[blockIdx.x] * (former - both));
        all += total[blockIdx.x];
        if (former >= top) likeliest = best[blockIdx.x];
    }
    weighted[blockIdx.x] = moment;
    total[blockIdx.x] = all;
    best[blockIdx.x] = likeliest;
}

// H = ln Σ exp(l − largest) − weighted/Σ exp(l − largest), of two numbers that are small for any logits. One thread per row.
extern "C" __global__ void logprob_statistics(
    float* entropy, float* mean_logit, uint* is_likeliest, const float* sum, const float* weighted,
    const float* total, const uint* best, const uint* targets, uint vocabulary, size_t rows
) {
    const size_t row = element();
    if (row >= rows) return;
    entropy[row] = logf(sum[row]) - weighted[row] / sum[row];
    mean_logit[row] = total[row] / (float)vocabulary;
    is_likeliest[row] = best[row] == targets[row] ? 1u : 0u;
}

extern "C" __global__ void logprob_cap(float* logits, float cap, size_t n) {
    const size_t i = element();
    if (i >= n) return;
    logits[i] = capped(logits[i], cap);
}

// One thread per row.
extern "C" __global__ void logprob_finish(
    float* logp, float* lse, const float* largest, const float* sum, const float* hit, size_t rows
) {
    const size_t row = element();
    if (row >= rows) return;
    const float rest = logf(sum[row]);
    lse[row] = largest[row] + rest;
    logp[row] = hit[row] - largest[row] - rest;
}

extern "C" __global__ void logprob_backward(
    real* dlogits, const float* logits, const float* dlogp, const float* lse, const uint* targets, uint width,
    uint stride, uint first_token, float cap
) {
    const size_t row = (size_t)blockIdx.x * stride;
    const float gradient = dlogp[blockIdx.x], row_lse = lse[blockIdx.x];
    const uint target = targets[blockIdx.x];
    for (uint c = threadIdx.x; c < width; c += blockDim.x) {
        const float logit = capped(logits[row + c], cap);
        const float is_target = first_token + c == target ? 1.0f : 0.0f;
        dlogits[row + c] = store(gradient * (is_target - expf(logit - row_lse)) * cap_slope(logit, cap));
    }
}

// dhidden [n] from its f32 sum over the chunks, so that it is rounded once.
extern "C" __global__ void logprob_round(real* dhidden, const float* sum, size_t n) {
    const size_t i = element();
    if (i >= n) return;
    dhidden[i] = store(sum[i]);
}
