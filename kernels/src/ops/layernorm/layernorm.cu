// Layer normalisation: rstd = (mean((x − mean)²) + ε)^-½, x̂ = (x − mean)·rstd, y = x̂·weight + bias.
// With g = dy·weight: dx = rstd·(g − mean(g) − x̂·mean(g·x̂)), dweight = Σ_r dy·x̂, dbias = Σ_r dy.
//
// y, x, dy and dx real [rows, width], weight and bias real [width], mean and rstd f32 [rows], partials f32
// [blocks, 2·width], dweight's before dbias's; s bytes per real. A thread takes 16 bytes at once where all rows begin at whole
// 16 bytes (`aligned`), else one number.
// Forward, one block per row. Bytes: 2·s·rows·width + 8·rows. FLOPs: 8·rows·width.
// Backward, one block per rows_per_block rows; `partials_add` adds up the blocks. Bytes: 3·s·rows·width (4 to accumulate) +
// 8·blocks·width. FLOPs: 14·rows·width. Later passes over a row find it in the caches; so does
// each row the sums of a wide one, 16·width more from there.

// The variance is taken around the mean, so that a large mean does not drown it.
template <uint N>
__device__ inline void forward(
    real* y, float* mean, float* rstd, const real* x, const real* weight, const real* bias, uint width,
    float epsilon
) {
    const size_t row = (size_t)blockIdx.x * width;
    float values[N], scales[N], shifts[N];
    float sum = 0.0f;
    for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
        load_several(values, x + row + c);
        for (uint i = 0; i < N; i++) sum += values[i];
    }
    const float centre = block_sum(sum) / width;
    float squares = 0.0f;
    for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
        load_several(values, x + row + c);
        for (uint i = 0; i < N; i++) squares += (values[i] - centre) * (values[i] - centre);
    }
    squares = block_sum(squares);
    const float scale = 1.0f / sqrtf(squares / width + epsilon);
    for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
        load_several(values, x + row + c);
        load_several(scales, weight + c);
        load_several(shifts, bias + c);
        for (uint i = 0; i < N; i++) values[i] = (values[i] - centre) * scale * scales[i] + shifts[i];
        store_several(y + row + c, values);
    }
    if (threadIdx.x == 0) {
        mean[blockIdx.x] = centre;
        rstd[blockIdx.x] = scale;
    }
}

extern "C" __global__ void layernorm_forward(
    real* y, float* mean, float* rstd, const real* x, const real* weight, const real* bias, uint width,
    float epsilon, uint aligned
) {
    if (aligned) forward<REALS>(y, mean, rstd, x, weight, bias, width, epsilon);
    else forward<1>(y, mean, rstd, x, weight, bias, width, epsilon);
}

// dx of a stretch of rows, and its part of dweight and dbias [width]. Element c of both belongs to one thread alone, so that
// no barrier guards it, wherever it lies.
template <uint N>
__device__ inline void backward(
    float* dweight, float* dbias, real* dx, const real* dy, const real* x, const float* mean, const float* rstd,
    const real* weight, uint rows, uint width, uint rows_per_block, uint accumulate
) {
    float inputs[N], outputs[N], scales[N], gradients[N], products[N];
    for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x)
        for (uint i = 0; i < N; i++) dweight[c + i] = dbias[c + i] = 0.0f;
    const uint first = blockIdx.x * rows_per_block;
    const uint end = min(first + rows_per_block, rows);
    for (uint r = first; r < end; r++) {
        const size_t row = (size_t)r * width;
        const float centre = mean[r], scale = rstd[r];
        float sum_g = 0.0f, sum_gx = 0.0f;
        for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
            load_several(inputs, x + row + c);
            load_several(outputs, dy + row + c);
            load_several(scales, weight + c);
            for (uint i = 0; i < N; i++) {
                const float g = outputs[i] * scales[i];
                sum_g += g;
                sum_gx += g * (inputs[i] - centre);
            }
        }
        const float mean_g = block_sum(sum_g) / width;
        const float mean_gx = block_sum(sum_gx) * scale / width;
        for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
            load_several(inputs, x + row + c);
            load_several(outputs, dy + row + c);
            load_several(scales, weight + c);
            for (uint i = 0; i < N; i++) gradients[i] = 0.0f;
            if (accumulate) load_several(gradients, dx + row + c);
            for (uint i = 0; i < N; i++) {
                const float normal = (inputs[i] - centre) * scale;
                gradients[i] += scale * (outputs[i] * scales[i] - mean_g - normal * mean_gx);
                products[i] = outputs[i] * normal;
            }
            store_several(dx + row + c, gradients);
            add_several(dweight + c, products);
            add_several(dbias + c, outputs);
        }
    }
}

extern "C" __global__ void layernorm_backward(
    real* dx, float* partials, const real* dy, const real* x, const float* mean, const float* rstd,
    const real* weight, uint rows, uint width, uint rows_per_block, uint accumulate, uint aligned
) {
    extern __shared__ __align__(16) float sums[];  // [2, width]
    if (aligned)
        backward<REALS>(
            sums, sums + width, dx, dy, x, mean, rstd, weight, rows, width, rows_per_block, accumulate);
    else
        backward<1>(sums, sums + width, dx, dy, x, mean, rstd, weight, rows, width, rows_per_block, accumulate);
    __syncthreads();
    float* partial = partials + (size_t)blockIdx.x * 2 * width;
    for (uint c = threadIdx.x; c < 2 * width; c += blockDim.x) partial[c] = sums[c];
}

// The same where rows are too wide for shared memory, or a block has only one: sums grow where they will be read.
extern "C" __global__ void layernorm_backward_in_place(
    real* dx, float* partials, const real* dy, const real* x, const float* mean, const float* rstd,
    const real* weight, uint rows, uint width, uint rows_per_block, uint accumulate, uint aligned
) {
    float* sums = partials + (size_t)blockIdx.x * 2 * width;
    if (aligned)
        backward<REALS>(
            sums, sums + width, dx, dy, x, mean, rstd, weight, rows, width, rows_per_block, accumulate);
    else
        backward<1>(sums, sums + width, dx, dy, x, mean, rstd, weight, rows, width, rows_per_block, accumulate);
}
