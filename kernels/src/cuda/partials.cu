// Adds up the partial sums that the blocks of a backward kernel left: total[c] += Σ_b partials[b, from + c].
//
// total f32 [width], partials f32 [blocks, stride]. A block of 8 warps covers 32 columns, a lane each (`column_sum`).
// Bytes: 4·blocks·width read, 8·width read and written. FLOPs: blocks·width.

extern "C" __global__ void partials_add(
    float* total, const float* partials, uint from, uint blocks, uint width, uint stride
) {
    const uint column = blockIdx.x * WARP + lane();
    const float sum = column_sum(0, column < width ? blocks : 0, [=](uint block) {
        return partials[(size_t)block * stride + from + column];
    });
    if (warp() == 0 && column < width) total[column] += sum;
}
