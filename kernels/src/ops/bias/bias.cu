// The bias of a linear layer: y[r, c] += bias[c], and dbias[c] += Σ_r dy[r, c].
//
// y and dy real [rows, width], bias real [width], partials f32 [blocks, width]; s bytes per real.
// Forward, one block per row. Bytes: 2·s·rows·width + s·width. FLOPs: rows·width.
// Backward, a block of 8 warps per 32 columns and rows_per_block rows; `partials_add` adds up the blocks. Bytes: s·rows·width +
// 4·blocks·width. FLOPs: rows·width.

extern "C" __global__ void bias_forward(real* y, const real* bias, uint width) {
    real* row = y + (size_t)blockIdx.x * width;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) row[c] = store(load(row[c]) + load(bias[c]));
}

// Block (x, y) covers columns 32·x to 32·x + 31 and the y-th stretch of rows.
extern "C" __global__ void bias_backward(
    float* partials, const real* dy, uint rows, uint width, uint rows_per_block
) {
    const uint column = blockIdx.x * WARP + lane();
    const uint first = blockIdx.y * rows_per_block;
    const uint end = min(first + rows_per_block, rows);
    const float sum = column_sum(first, column < width ? end : first, [=](uint row) {
        return load(dy[(size_t)row * width + column]);
    });
    if (warp() == 0 && column < width) partials[(size_t)blockIdx.y * width + column] = sum;
}
