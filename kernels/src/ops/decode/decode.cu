// Attention of one new token per sequence against a cache of keys and values. No backward.
//
// Caches real [sequences, capacity, kv_heads, head_dim], rows real [sequences, width], q and y real [sequences, heads,
// head_dim], positions and lengths [sequences]; head_dim is 256 at most; s bytes per real.
// Appending, one block per sequence. Bytes: 2·s·width per sequence. FLOPs: none.
// Forward, one warp per sequence and head. Bytes: 2·s·length·kv_heads·head_dim per sequence, more where a group's heads do
// not meet in the caches. FLOPs: 4·length·heads·head_dim per sequence.

const uint PARTS = 8;  // elements of a head per lane: 256/32

struct Shape {
    uint sequences, capacity, heads, kv_heads, head_dim;
    float scale, cap;  // a cap of 0 is none
    uint window;       // positions that a row sees, its own included; 0 is no bound
};

extern "C" __global__ void decode_append(real* cache, const real* rows, const uint* positions, uint capacity, uint width) {
    real* to = cache + ((size_t)blockIdx.x * capacity + positions[blockIdx.x]) * width;
    const real* from = rows + (size_t)blockIdx.x * width;
    for (uint c = threadIdx.x; c < width; c += blockDim.x) to[c] = from[c];
}

extern "C" __global__ void decode_forward(
    real* y, const real* q, const real* k, const real* v, const uint* lengths, Shape shape
) {
    const uint index = blockIdx.x * (blockDim.x / WARP) + warp();
    const uint sequence = index / shape.heads, head = index % shape.heads;
    if (sequence >= shape.sequences) return;
    const uint kv_head = head / (shape.heads / shape.kv_heads);
    const uint length = lengths[sequence];
    const uint first = shape.window > 0 && length > shape.window ? length - shape.window : 0;

    float own[PARTS], mean[PARTS] = {}, largest = -infinity(), sum = 0.0f;
    #pragma unroll
    for (uint i = 0; i < PARTS; i++) {
        const uint d = lane() + WARP * i;
        own[i] = d < shape.head_dim ? load(q[(size_t)index * shape.head_dim + d]) : 0.0f;
    }
    for (uint p = first; p < length; p++) {
        const size_t at = (((size_t)sequence * shape.capacity + p) * shape.kv_heads + kv_head) * shape.head_dim;
        float product = 0.0f;
        #pragma unroll
        for (uint i = 0; i < PARTS; i++) {
            const uint d = lane() + WARP * i;
            if (d < shape.head_dim) product += own[i] * load(k[at + d]);
        }
        const float score = capped(shape.scale * warp_sum(product), shape.cap);
        const float former = largest;
        largest = fmaxf(largest, score);
        const float shrink = expf(former - largest), weight = expf(score - largest);
        sum = sum * shrink + weight;
        #pragma unroll
        for (uint i = 0; i < PARTS; i++) {
            const uint d = lane() + WARP * i;
            if (d < shape.head_dim) mean[i] = mean[i] * shrink + weight * load(v[at + d]);
        }
    }
    // A sequence without keys gets zeros.
    const float inverse = sum > 0.0f ? 1.0f / sum : 0.0f;
    #pragma unroll
    for (uint i = 0; i < PARTS; i++) {
        const uint d = lane() + WARP * i;
        if (d < shape.head_dim) y[(size_t)index * shape.head_dim + d] = store(mean[i] * inverse);
    }
}
