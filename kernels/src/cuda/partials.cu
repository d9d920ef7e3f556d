// Adds up the partial sums that the blocks of a backward kernel left: total[c] += Σ_b partials[b, from + c], in the order
// of b.
//
// total f32 [width], partials f32 [blocks, stride]. One thread per column.
// Bytes: 4·blocks·width read, 8·width read and written. FLOPs: blocks·width.

extern "C" __global__ void partials_add(
    float* total, const float* partials, uint from, uint blocks, uint width, uint stride
) {
    const size_t column = element();
    if (column >= width) return;
    float sum = 0.0f;
    for (uint block = 0; block < blocks; block++) sum += partials[block * (size_t)stride + from + column];
    total[column] += sum;
}
