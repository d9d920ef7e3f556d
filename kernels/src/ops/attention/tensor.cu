// Causal attention forward on tensor cores, for bf16 and heads of 64 or 128: flash style (Dao 2023, arXiv:2307.08691), with
// tiles of 64 queries and 64 keys. What it computes, and the shapes, are those of `attention.cu`.
//
// One block of 4 warps per tile of queries and head, a warp per 16 queries. Scores, softmax and the mean stay in registers;
// keys and values go through shared memory, 4·64·(head_dim + 8) bytes. `tiles` is [blocks in x] of `Tile`, blocks in y are heads.
// FLOPs: 4·head_dim per query, head and key of a visited tile; at the diagonal half of a tile is hidden. Bytes: q and y once,
// keys and values once per tile of queries and head of a group, lse 4 bytes per row and head.

#ifdef BF16

const uint TILE = 64;     // queries of a block, and keys of a step
const uint THREADS = 128;

struct Tile {
    uint segment, first;  // the first of the tile's rows, counted in its segment
};

// Two neighbouring numbers, the first in the lower half.
__device__ inline uint pack(float low, float high) {
    return (uint)store(low).bits | (uint)store(high).bits << 16;
}

__device__ inline uint pair_at(const real* numbers) { return *(const uint*)numbers; }

// sum [16, 8] += a [16, 16]·b [16, 8]. Lane 4·g + t holds, of sum, rows g and g + 8 at columns 2t and 2t + 1.
__device__ inline void multiply(float (&sum)[4], const uint (&a)[4], const uint (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])
    );
}

// Two 8 × 8 matrices, transposed; lanes 0 to 15 name a row each.
__device__ inline void load_transposed(uint (&b)[2], const real* row) {
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
        : "=r"(b[0]), "=r"(b[1])
        : "r"((uint)__cvta_generic_to_shared(row))
        : "memory"
    );
}

// The maximum and the sum over the four lanes that share a row.
__device__ inline float row_max(float value) {
    value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, 1));
    return fmaxf(value, __shfl_xor_sync(0xffffffff, value, 2));
}

__device__ inline float row_sum(float value) {
    value += __shfl_xor_sync(0xffffffff, value, 1);
    return value + __shfl_xor_sync(0xffffffff, value, 2);
}

template <uint D>
__device__ inline void forward(
    real* y, float* lse, const real* q, const real* k, const real* v, const Segment* segments, const Tile* tiles,
    const Shape& shape
) {
    const uint STRIDE = D + 8;  // 16 bytes more: eight rows of a matrix lie in different banks
    __shared__ __align__(16) real keys[TILE * STRIDE];
    __shared__ __align__(16) real values[TILE * STRIDE];
    const Tile tile = tiles[blockIdx.x];
    const Segment segment = segments[tile.segment];
    const uint head = blockIdx.y, kv_head = head / (shape.heads / shape.kv_heads);
    const uint group = lane() / 4, pair = 2 * (lane() % 4);
    // This lane's two queries: their rows, counted in the segment.
    const uint own[2] = {tile.first + 16 * warp() + group, tile.first + 16 * warp() + group + 8};

    uint queries[D / 16][4];
    #pragma unroll
    for (uint i = 0; i < 2; i++) {
        const real* row = q + query(shape, segment.start + own[i], head) + pair;
        #pragma unroll
        for (uint d = 0; d < D / 16; d++) {
            queries[d][i] = own[i] < segment.len ? pair_at(row + 16 * d) : 0;
            queries[d][i + 2] = own[i] < segment.len ? pair_at(row + 16 * d + 8) : 0;
        }
    }

    float largest[2] = {-infinity(), -infinity()}, sum[2] = {}, mean[D / 8][4] = {};
    const uint last = segment.prefix_len + min(tile.first + TILE, segment.len) - 1;
    for (uint first = first_visible(shape, segment.prefix_len + tile.first); first <= last; first += TILE) {
        __syncthreads();  // all have read the former keys and values
        for (uint i = threadIdx.x; i < TILE * D / 8; i += THREADS) {
            const uint position = first + i / (D / 8), d = i % (D / 8) * 8;
            uint4 some_keys = {0, 0, 0, 0}, some_values = {0, 0, 0, 0};
            if (position <= last) {
                const size_t at = key(shape, row_at(segment, position), kv_head) + d;
                some_keys = *(const uint4*)(k + at);
                some_values = *(const uint4*)(v + at);
            }
            *(uint4*)(keys + i / (D / 8) * STRIDE + d) = some_keys;
            *(uint4*)(values + i / (D / 8) * STRIDE + d) = some_values;
        }
        __syncthreads();

        float scores[TILE / 8][4] = {};
        #pragma unroll
        for (uint n = 0; n < TILE / 8; n++) {
            const real* row = keys + (8 * n + group) * STRIDE + pair;
            #pragma unroll
            for (uint d = 0; d < D / 16; d++) {
                const uint some_keys[2] = {pair_at(row + 16 * d), pair_at(row + 16 * d + 8)};
                multiply(scores[n], queries[d], some_keys);
            }
        }

        #pragma unroll
        for (uint i = 0; i < 2; i++) {
            const uint position = segment.prefix_len + own[i];
            const uint from = first_visible(shape, position);
            const float former = largest[i];
            float top = former;
            #pragma unroll
            for (uint n = 0; n < TILE / 8; n++) {
                #pragma unroll
                for (uint j = 0; j < 2; j++) {
                    const uint p = first + 8 * n + pair + j;
                    float& score = scores[n][2 * i + j];
                    score = p >= from && p <= position ? capped(shape.scale * score, shape.cap) : -infinity();
                    top = fmaxf(top, score);
                }
            }
            top = row_max(top);
            // Finite: keys begin where the tile's first row begins to see, so that each of its 64 rows sees one of the first 64.
            const float shrink = expf(former - top);
            float weights = 0.0f;
            #pragma unroll
            for (uint n = 0; n < TILE / 8; n++) {
                #pragma unroll
                for (uint j = 0; j < 2; j++) {
                    scores[n][2 * i + j] = expf(scores[n][2 * i + j] - top);
                    weights += scores[n][2 * i + j];
                }
            }
            largest[i] = top;
            sum[i] = sum[i] * shrink + row_sum(weights);
            #pragma unroll
            for (uint d = 0; d < D / 8; d++) {
                mean[d][2 * i] *= shrink;
                mean[d][2 * i + 1] *= shrink;
            }
        }

        #pragma unroll
        for (uint n = 0; n < TILE / 16; n++) {
            const float* low = scores[2 * n];
            const float* high = scores[2 * n + 1];
            const uint weights[4] = {pack(low[0], low[1]), pack(low[2], low[3]), pack(high[0], high[1]), pack(high[2], high[3])};
            const real* row = values + (16 * n + lane() % 16) * STRIDE;
            #pragma unroll
            for (uint d = 0; d < D / 8; d++) {
                uint some_values[2];
                load_transposed(some_values, row + 8 * d);
                multiply(mean[d], weights, some_values);
            }
        }
    }

    #pragma unroll
    for (uint i = 0; i < 2; i++) {
        if (own[i] >= segment.len) continue;
        const uint row = segment.start + own[i];
        const float inverse = 1.0f / sum[i];
        real* to = y + query(shape, row, head) + pair;
        #pragma unroll
        for (uint d = 0; d < D / 8; d++)
            *(uint*)(to + 8 * d) = pack(mean[d][2 * i] * inverse, mean[d][2 * i + 1] * inverse);
        if (pair == 0) lse[row * shape.heads + head] = largest[i] + logf(sum[i]);
    }
}

extern "C" __global__ void attention_forward_64(
    real* y, float* lse, const real* q, const real* k, const real* v, const Segment* segments, const Tile* tiles,
    Shape shape
) {
    forward<64>(y, lse, q, k, v, segments, tiles, shape);
}

extern "C" __global__ void attention_forward_128(
    real* y, float* lse, const real* q, const real* k, const real* v, const Segment* segments, const Tile* tiles,
    Shape shape
) {
    forward<128>(y, lse, q, k, v, segments, tiles, shape);
}

#endif
