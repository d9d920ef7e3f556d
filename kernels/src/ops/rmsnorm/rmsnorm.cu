// Root-mean-square normalisation: rstd = (mean(x²) + ε)^-½, y = x·rstd·(offset + weight).
// With g = dy·(offset + weight): dx = rstd·(g − x·rstd²·mean(g·x)), dweight = Σ_r dy·x·rstd.
//
// y, x, dy and dx real [rows, width], weight real [width], rstd f32 [rows], partials f32 [blocks, width]; s bytes per real.
// Forward, one block per row. Bytes: 2·s·rows·width + 4·rows. FLOPs: 5·rows·width.
// Backward, one block per rows_per_block rows; `partials_add` adds up the blocks. Bytes: 3·s·rows·width (4 to accumulate) +
// 4·blocks·width. FLOPs: 11·rows·width. The second pass over a row finds it in the caches; so does each row the sums of a
// wide one, 8·width more from there.

extern "C" __global__ void rmsnorm_forward(
    real* y, float* rstd, const real* x, const real* weight, uint width, float epsilon, float offset
) {
    const size_t row = (size_t)blockIdx.x * width;
    float squares = 0.0f;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) {
        const float value = load(x[row + c]);
        squares += value * value;
    }
    squares = block_sum(squares);
    const float scale = 1.0f / sqrtf(squares / width + epsilon);
    for (uint c = threadIdx.x; c < width; c += blockDim.x)
        y[row + c] = store(load(x[row + c]) * scale * (offset + load(weight[c])));
    if (threadIdx.x == 0) rstd[blockIdx.x] = scale;
}

// dx of a stretch of rows, and its part of dweight [width]. Element c of dweight belongs to one thread alone, so that no
// barrier guards it, wherever it lies.
__device__ inline void backward(
    float* dweight, real* dx, const real* dy, const real* x, const real* weight, const float* rstd, uint rows,
    uint width, uint rows_per_block, float offset, uint accumulate
) {
    for (uint c = threadIdx.x; c < width; c += blockDim.x) dweight[c] = 0.0f;
    const uint first = blockIdx.x * rows_per_block;
    const uint end = min(first + rows_per_block, rows);
    for (uint r = first; r < end; r++) {
        const size_t row = (size_t)r * width;
        float product = 0.0f;
        for (uint c = threadIdx.x; c < width; c += blockDim.x)
            product += load(dy[row + c]) * (offset + load(weight[c])) * load(x[row + c]);
        product = block_sum(product);
        const float scale = rstd[r];
        const float pull = scale * scale * product / width;
        for (uint c = threadIdx.x; c < width; c += blockDim.x) {
            const float input = load(x[row + c]), output = load(dy[row + c]);
            const float gradient = scale * (output * (offset + load(weight[c])) - input * pull);
            dx[row + c] = store(accumulate ? load(dx[row + c]) + gradient : gradient);
            dweight[c] += output * input * scale;
        }
    }
}

extern "C" __global__ void rmsnorm_backward(
    real* dx, float* partials, const real* dy, const real* x, const real* weight, const float* rstd, uint rows,
    uint width, uint rows_per_block, float offset, uint accumulate
) {
    extern __shared__ float dweight[];  // [width]
    backward(dweight, dx, dy, x, weight, rstd, rows, width, rows_per_block, offset, accumulate);
    for (uint c = threadIdx.x; c < width; c += blockDim.x)
        partials[(size_t)blockIdx.x * width + c] = dweight[c];
}

// The same where rows are too wide for shared memory, or a block has only one: sums grow where they will be read.
extern "C" __global__ void rmsnorm_backward_in_place(
    real* dx, float* partials, const real* dy, const real* x, const real* weight, const float* rstd, uint rows,
    uint width, uint rows_per_block, float offset, uint accumulate
) {
    float* dweight = partials + (size_t)blockIdx.x * width;
    backward(dweight, dx, dy, x, weight, rstd, rows, width, rows_per_block, offset, accumulate);
}
