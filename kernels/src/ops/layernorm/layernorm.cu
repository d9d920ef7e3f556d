// Layer normalisation: rstd = (mean((x − mean)²) + ε)^-½, x̂ = (x − mean)·rstd, y = x̂·weight + bias.
// With g = dy·weight: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), dweight = Σ_r dy·x̂, dbias = Σ_r dy.
//
// y, x, dy and dx real [rows, width], weight and bias real [width], mean and rstd f32 [rows], partials f32
// [blocks, 2·width], dweight's before dbias's; s bytes per real.
// Forward, one block per row. Bytes: 2·s·rows·width + 8·rows. FLOPs: 8·rows·width.
// Backward, one block per rows_per_block rows; `partials_add` adds up the blocks. Bytes: 3·s·rows·width (4 to accumulate) +
// 8·blocks·width. FLOPs: 14·rows·width. Later passes over a row find it in the caches; so does
// each row the sums of a wide one, 16·width more from there.

// The variance is taken around the mean, so that a large mean does not drown it.
extern "C" __global__ void layernorm_forward(
    real* y, float* mean, float* rstd, const real* x, const real* weight, const real* bias, uint width,
    float epsilon
) {
    const size_t row = (size_t)blockIdx.x * width;
    float sum = 0.0f;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) sum += load(x[row + c]);
    const float centre = block_sum(sum) / width;
    float squares = 0.0f;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) {
        const float distance = load(x[row + c]) - centre;
        squares += distance * distance;
    }
    squares = block_sum(squares);
    const float scale = 1.0f / sqrtf(squares / width + epsilon);
    for (uint c = threadIdx.x; c < width; c += blockDim.x)
        y[row + c] = store((load(x[row + c]) - centre) * scale * load(weight[c]) + load(bias[c]));
    if (threadIdx.x == 0) {
        mean[blockIdx.x] = centre;
        rstd[blockIdx.x] = scale;
    }
}

// dx of a stretch of rows, and its part of dweight and dbias [width]. Element c of both belongs to one thread alone, so that
// no barrier guards it, wherever it lies.
__device__ inline void backward(
    float* dweight, float* dbias, real* dx, const real* dy, const real* x, const float* mean, const float* rstd,
    const real* weight, uint rows, uint width, uint rows_per_block, uint accumulate
) {
    for (uint c = threadIdx.x; c < width; c += blockDim.x) dweight[c] = dbias[c] = 0.0f;
    const uint first = blockIdx.x * rows_per_block;
    const uint end = min(first + rows_per_block, rows);
    for (uint r = first; r < end; r++) {
        const size_t row = (size_t)r * width;
        const float centre = mean[r], scale = rstd[r];
        float sum_g = 0.0f, sum_gx = 0.0f;
        for (uint c = threadIdx.x; c < width; c += blockDim.x) {
            const float g = load(dy[row + c]) * load(weight[c]);
            sum_g += g;
            sum_gx += g * (load(x[row + c]) - centre);
        }
        const float mean_g = block_sum(sum_g) / width;
        const float mean_gx = block_sum(sum_gx) * scale / width;
        for (uint c = threadIdx.x; c < width; c += blockDim.x) {
            const float output = load(dy[row + c]);
            const float normal = (load(x[row + c]) - centre) * scale;
            const float gradient = scale * (output * load(weight[c]) - mean_g - normal * mean_gx);
            dx[row + c] = store(accumulate ? load(dx[row + c]) + gradient : gradient);
            dweight[c] += output * normal;
            dbias[c] += output;
        }
    }
}

extern "C" __global__ void layernorm_backward(
    real* dx, float* partials, const real* dy, const real* x, const float* mean, const float* rstd,
    const real* weight, uint rows, uint width, uint rows_per_block, uint accumulate
) {
    extern __shared__ float sums[];  // [2, width]
    backward(sums, sums + width, dx, dy, x, mean, rstd, weight, rows, width, rows_per_block, accumulate);
    float* partial = partials + (size_t)blockIdx.x * 2 * width;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) {
        partial[c] = sums[c];
        partial[width + c] = sums[width + c];
    }
}

// The same where rows are too wide for shared memory, or a block has only one: sums grow where they will be read.
extern "C" __global__ void layernorm_backward_in_place(
    real* dx, float* partials, const real* dy, const real* x, const float* mean, const float* rstd,
    const real* weight, uint rows, uint width, uint rows_per_block, uint accumulate
) {
    float* sums = partials + (size_t)blockIdx.x * 2 * width;
    backward(sums, sums + width, dx, dy, x, mean, rstd, weight, rows, width, rows_per_block, accumulate);
}
