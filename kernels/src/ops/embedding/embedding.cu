// The embedding: y[r] = or += table[ids[r]], and dtable[ids[r]] += dy[r].
//
// y and dy real [rows, width], table real [vocabulary, width], dtable f32 [vocabulary, width], ids [rows]; s bytes per real.
// Forward, one block per row. Bytes: rows·(2·s·width + 4), s·width more per row to accumulate. FLOPs: none, or rows·width.
// Scaling, one thread per element. Bytes: 2·s·n. FLOPs: n.
// Backward, one block per token that occurs. Bytes: rows·(s·width + 4) + tokens·(8·width + 8). FLOPs: (rows + tokens)·width.

extern "C" __global__ void embedding_forward(
    real* y, const real* table, const uint* ids, uint width, uint accumulate
) {
    real* to = y + (size_t)blockIdx.x * width;
    const real* from = table + (size_t)ids[blockIdx.x] * width;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) {
        if (accumulate) to[c] = store(load(to[c]) + load(from[c]));
        else to[c] = from[c];
    }
}

extern "C" __global__ void embedding_scale(real* y, float factor, size_t n) {
    const size_t i = element();
    if (i >= n) return;
    y[i] = store(factor * load(y[i]));
}

// The same where the table are rows of the batch itself: dx[r] = Σ dy[order[i]] over i from starts[r] to starts[r + 1], zero
// where that is none. One block per row. Bytes: s·width·(rows + ids). FLOPs: ids·width.
extern "C" __global__ void embedding_backward_rows(
    real* dx, const real* dy, const uint* order, const uint* starts, uint width
) {
    const uint first = starts[blockIdx.x], end = starts[blockIdx.x + 1];
    for (uint c = threadIdx.x; c < width; c += blockDim.x) {
        float sum = 0.0f;
        for (uint i = first; i < end; i++) sum += load(dy[(size_t)order[i] * width + c]);
        dx[(size_t)blockIdx.x * width + c] = store(sum);
    }
}

// Rows are grouped by their token: group g is rows order[starts[g]..starts[g + 1]], all of token tokens[g]. Within a group
// they keep their order, and no other block touches the token's gradient.
extern "C" __global__ void embedding_backward(
    float* dtable, const real* dy, const uint* order, const uint* starts, const uint* tokens, uint width
) {
    const uint first = starts[blockIdx.x], end = starts[blockIdx.x + 1];
    float* to = dtable + (size_t)tokens[blockIdx.x] * width;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) {
        float sum = 0.0f;
        for (uint i = first; i < end; i++) sum += load(dy[(size_t)order[i] * width + c]);
        to[c] += sum;
    }
}
