// Causal attention forward on tensor cores, for bf16 and heads of 64 or 128: flash style (Dao 2023, arXiv:2307.08691). What it
// computes, and the shapes, are those of `attention.cu`.
//
// One block per tile of 64 queries and head, a warp per 16 queries. Scores, softmax and the mean stay in registers. Keys and
// values go through shared memory, 64 a step or 32 where the head is wider: the next step is copied while this one is multiplied.
// `tiles` is [blocks in x] of `Tile`, blocks in y are heads. FLOPs: 4·head_dim per query, head and key of a visited step; at the
// diagonal half of a step is hidden. Bytes: q and y once, keys and values once per tile of queries and head of a group, lse 4 bytes
// per row and head. Shared: 4·(4,096/head_dim)·(head_dim + 8) numbers.

#ifdef BF16

template <uint D>
__device__ inline void forward(
    real* y, float* lse, const real* q, const real* k, const real* v, const Segment* segments, const Tile* tiles,
    const Shape& shape
) {
    const uint KEYS = keys_of_step<D>();
    __shared__ __align__(16) real keys[2][KEYS * stride<D>()];
    __shared__ __align__(16) real values[2][KEYS * stride<D>()];
    static_assert(sizeof(keys) + sizeof(values) <= SHARED_BYTES);
    const Tile tile = tiles[blockIdx.x];
    const Segment segment = segments[tile.segment];
    const uint head = blockIdx.y, kv_head = head / (shape.heads / shape.kv_heads);
    // This lane's two queries: their rows, counted in the segment.
    const uint own[2] = {tile.first + own_row(), tile.first + own_row() + 8};

    uint queries[D / 16][4];
    #pragma unroll
    for (uint i = 0; i < 2; i++)
        read_row<D>(queries, i, q + query(shape, segment.start + own[i], head), own[i] < segment.len);

    // Finite, so that a row which sees no key of the first steps has weights of exp(−∞) = 0 there, not of exp(−∞ + ∞).
    float largest[2] = {-3e38f, -3e38f}, sum[2] = {}, mean[D / 8][4] = {};
    const uint last = segment.prefix_len + min(tile.first + TILE, segment.len) - 1;
    uint first = first_visible(shape, segment.prefix_len + tile.first), stage = 0;
    copy_keys<D>(keys[0], values[0], k, v, segment, shape, first, last, kv_head);
    for (; first <= last; first += KEYS) {
        wait_for_copies();
        __syncthreads();  // this step's keys are there, and all have read the former ones
        if (first + KEYS <= last)
            copy_keys<D>(keys[1 - stage], values[1 - stage], k, v, segment, shape, first + KEYS, last, kv_head);

        float scores[KEYS / 16][2][4] = {};
        #pragma unroll
        for (uint n = 0; n < KEYS / 16; n++)
            multiply_rows<D>(scores[n], queries, keys[stage] + 16 * n * stride<D>());

        #pragma unroll
        for (uint i = 0; i < 2; i++) {
            const uint position = segment.prefix_len + own[i];
            const float former = largest[i];
            float top = former;
            #pragma unroll
            for (uint n = 0; n < KEYS / 8; n++) {
                #pragma unroll
                for (uint j = 0; j < 2; j++) {
                    float& score = scores[n / 2][n % 2][2 * i + j];
                    score = sees(shape, position, first + 8 * n + own_column() + j) ? capped(shape.scale * score, shape.cap)
                                                                                     : -infinity();
                    top = fmaxf(top, score);
                }
            }
            top = row_max(top);
            const float shrink = expf(former - top);
            float weights = 0.0f;
            #pragma unroll
            for (uint n = 0; n < KEYS / 8; n++) {
                #pragma unroll
                for (uint j = 0; j < 2; j++) {
                    float& score = scores[n / 2][n % 2][2 * i + j];
                    score = expf(score - top);
                    weights += score;
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
        for (uint n = 0; n < KEYS / 16; n++) {
            uint weights[4];
            pack_matrix(weights, scores[n][0], scores[n][1]);
            multiply_columns<D>(mean, weights, values[stage] + 16 * n * stride<D>());
        }
        stage = 1 - stage;
    }

    #pragma unroll
    for (uint i = 0; i < 2; i++) {
        if (own[i] >= segment.len) continue;
        const uint row = segment.start + own[i];
        write_row<D>(y + query(shape, row, head), mean, i, 1.0f / sum[i]);
        if (own_column() == 0) lse[row * shape.heads + head] = largest[i] + logf(sum[i]);
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
