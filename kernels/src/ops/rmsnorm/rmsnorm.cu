// Root-mean-square normalisation: rstd = (mean(x²) + ε)^-½, y = x·rstd·(offset + weight).
// With g = dy·(offset + weight): dx = rstd·(g − x·rstd²·mean(g·x)), dweight = Σ_r dy·x·rstd.
//
// y, x, dy and dx real [rows, width], weight real [width], rstd f32 [rows], partials f32 [blocks, width]; s bytes per real.
// A thread takes 16 bytes at once where all rows begin at whole 16 bytes (`aligned`), else one number.
// Forward, one block per row. Bytes: 2·s·rows·width + 4·rows. FLOPs: 5·rows·width.
// Backward, one block per rows_per_block rows; `partials_add` adds up the blocks. Bytes: 3·s·rows·width (4 to accumulate) +
// 4·blocks·width. FLOPs: 11·rows·width. The second pass over a row finds it in the caches; so does each row the sums of a
// wide one, 8·width more from there.

template <uint N>
__device__ inline void forward(
    real* y, float* rstd, const real* x, const real* weight, uint width, float epsilon, float offset
) {
    const size_t row = (size_t)blockIdx.x * width;
    float values[N], scales[N];
    float squares = 0.0f;
    for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
        load_several(values, x + row + c);
        for (uint i = 0; i < N; i++) squares += values[i] * values[i];
    }
    squares = block_sum(squares);
    const float scale = 1.0f / sqrtf(squares / width + epsilon);
    for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
        load_several(values, x + row + c);
        load_several(scales, weight + c);
        for (uint i = 0; i < N; i++) values[i] = values[i] * scale * (offset + scales[i]);
        store_several(y + row + c, values);
    }
    if (threadIdx.x == 0) rstd[blockIdx.x] = scale;
}

extern "C" __global__ void rmsnorm_forward(
    real* y, float* rstd, const real* x, const real* weight, uint width, float epsilon, float offset, uint aligned
) {
    if (aligned) forward<REALS>(y, rstd, x, weight, width, epsilon, offset);
    else forward<1>(y, rstd, x, weight, width, epsilon, offset);
}

// dx of a stretch of rows, and its part of dweight [width]. Element c of dweight belongs to one thread alone, so that no
// barrier guards it, wherever it lies.
template <uint N>
__device__ inline void backward(
    float* dweight, real* dx, const real* dy, const real* x, const real* weight, const float* rstd, uint rows,
    uint width, uint rows_per_block, float offset, uint accumulate
) {
    float inputs[N], outputs[N], scales[N], gradients[N], products[N];
    for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x)
        for (uint i = 0; i < N; i++) dweight[c + i] = 0.0f;
    const uint first = blockIdx.x * rows_per_block;
    const uint end = min(first + rows_per_block, rows);
    for (uint r = first; r < end; r++) {
        const size_t row = (size_t)r * width;
        float product = 0.0f;
        for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
            load_several(inputs, x + row + c);
            load_several(outputs, dy + row + c);
            load_several(scales, weight + c);
            for (uint i = 0; i < N; i++) product += outputs[i] * (offset + scales[i]) * inputs[i];
        }
        product = block_sum(product);
        const float scale = rstd[r];
        const float pull = scale * scale * product / width;
        for (uint c = N * threadIdx.x; c < width; c += N * blockDim.x) {
            load_several(inputs, x + row + c);
            load_several(outputs, dy + row + c);
            load_several(scales, weight + c);
            for (uint i = 0; i < N; i++) gradients[i] = 0.0f;
            if (accumulate) load_several(gradients, dx + row + c);
            for (uint i = 0; i < N; i++) {
                gradients[i] += scale * (outputs[i] * (offset + scales[i]) - inputs[i] * pull);
                products[i] = outputs[i] * inputs[i] * scale;
            }
            store_several(dx + row + c, gradients);
            add_several(dweight + c, products);
        }
    }
}

extern "C" __global__ void rmsnorm_backward(
    real* dx, float* partials, const real* dy, const real* x, const real* weight, const float* rstd, uint rows,
    uint width, uint rows_per_block, float offset, uint accumulate, uint aligned
) {
    extern __shared__ __align__(16) float dweight[];  // [width]
    if (aligned)
        backward<REALS>(dweight, dx, dy, x, weight, rstd, rows, width, rows_per_block, offset, accumulate);
    else
        backward<1>(dweight, dx, dy, x, weight, rstd, rows, width, rows_per_block, offset, accumulate);
    __syncthreads();
    for (uint c = threadIdx.x; c < width; c += blockDim.x)
        partials[(size_t)blockIdx.x * width + c] = dweight[c];
}

// The same where rows are too wide for shared memory, or a block has only one: sums grow where they will be read.
extern "C" __global__ void rmsnorm_backward_in_place(
    real* dx, float* partials, const real* dy, const real* x, const real* weight, const float* rstd, uint rows,
    uint width, uint rows_per_block, float offset, uint accumulate, uint aligned
) {
    float* dweight = partials + (size_t)blockIdx.x * width;
    if (aligned)
        backward<REALS>(dweight, dx, dy, x, weight, rstd, rows, width, rows_per_block, offset, accumulate);
    else
        backward<1>(dweight, dx, dy, x, weight, rstd, rows, width, rows_per_block, offset, accumulate);
}
