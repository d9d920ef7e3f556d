// Causal attention backward on tensor cores, for bf16 and heads of 64 or 128: flash style (Dao 2023, arXiv:2307.08691), once by
// tiles of queries for dq and once by tiles of keys for dk and dv, so that every sum has one owner and one order. What is computed,
// and the shapes, are those of `attention.cu`.
//
// One block per tile of 64 rows and head, a warp per 16 rows; `tiles` is [blocks in x] of `Tile`. Scores and their gradients are
// made 16 × 16 at a time, in registers. What a tile meets goes through shared memory, the next step being copied while this one is
// multiplied. FLOPs per query, head and key of a visited step, with d = head_dim: 6·d for dq, 8·d for dk and dv. Bytes: the tile's
// rows once; the others once per tile and head.

#ifdef BF16

struct Pair {
    float p, ds;
};

// What a query and a key give: p = exp(s − lse), ds = p·(dp − dy·y)·cap′; 0 where the one does not see the other.
__device__ inline Pair pair(const Shape& shape, float product, float dp, float lse, float projection, bool visible) {
    const float score = capped(shape.scale * product, shape.cap);
    const float p = visible ? expf(score - lse) : 0.0f;
    return {p, p * (dp - projection) * cap_slope(score, shape.cap)};
}

// Σ of the products of two times two numbers.
__device__ inline float pair_product(uint a, uint b) {
    const float low = __uint_as_float(a << 16) * __uint_as_float(b << 16);
    return low + __uint_as_float(a & 0xffff0000) * __uint_as_float(b & 0xffff0000);
}

// An element of an array in registers, which an unrolled loop names: one that is not there ends the kernel, where C leaves open
// what happens. The compiler sees that all of them are.
template <uint N>
__device__ inline uint element_of(const uint (&numbers)[N], uint i) {
    if (i >= N) __trap();
    return numbers[i];
}

// dq, and the projections dy·y that dk and dv need. Blocks in y are heads.
template <uint D>
__device__ inline void backward_queries(
    real* dq, float* projections, const real* dy, const real* y, const float* lse, const real* q, const real* k,
    const real* v, const Segment* segments, const Tile* tiles, const Shape& shape
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

    const uint last = segment.prefix_len + min(tile.first + TILE, segment.len) - 1;
    uint first = first_visible(shape, segment.prefix_len + tile.first), stage = 0;
    copy_keys<D>(keys[0], values[0], k, v, segment, shape, first, last, kv_head);

    uint queries[D / 16][4], gradients[D / 16][4];
    float row_lse[2] = {}, projection[2] = {};
    #pragma unroll
    for (uint i = 0; i < 2; i++) {
        const uint row = segment.start + own[i];
        const size_t at = query(shape, row, head);
        const bool exists = own[i] < segment.len;
        read_row<D>(queries, i, q + at, exists);
        read_row<D>(gradients, i, dy + at, exists);
        if (!exists) continue;
        #pragma unroll
        for (uint d = 0; d < D / 16; d++) {
            projection[i] += pair_product(gradients[d][i], pair_at(y + at + 16 * d + own_column()));
            projection[i] += pair_product(gradients[d][i + 2], pair_at(y + at + 16 * d + 8 + own_column()));
        }
        row_lse[i] = lse[row * shape.heads + head];
    }
    #pragma unroll
    for (uint i = 0; i < 2; i++) {
        projection[i] = row_sum(projection[i]);
        if (element_of(own, i) < segment.len && own_column() == 0)
            projections[(segment.start + own[i]) * shape.heads + head] = projection[i];
    }

    float sum[D / 8][4] = {};
    for (; first <= last; first += KEYS) {
        wait_for_copies();
        __syncthreads();  // this step's keys are there, and all have read the former ones
        if (first + KEYS <= last)
            copy_keys<D>(keys[1 - stage], values[1 - stage], k, v, segment, shape, first + KEYS, last, kv_head);

        #pragma unroll
        for (uint n = 0; n < KEYS / 16; n++) {
            const real* some_keys = keys[stage] + 16 * n * stride<D>();
            float scores[2][4] = {}, dp[2][4] = {};
            multiply_rows<D>(scores, queries, some_keys);
            multiply_rows<D>(dp, gradients, values[stage] + 16 * n * stride<D>());
            #pragma unroll
            for (uint h = 0; h < 2; h++) {
                #pragma unroll
                for (uint j = 0; j < 4; j++) {
                    const uint i = j / 2, position = first + 16 * n + 8 * h + own_column() + j % 2;
                    const bool visible = sees(shape, segment.prefix_len + own[i], position);
                    scores[h][j] = pair(shape, scores[h][j], dp[h][j], row_lse[i], projection[i], visible).ds;
                }
            }
            uint ds[4];
            pack_matrix(ds, scores[0], scores[1]);
            multiply_columns<D>(sum, ds, some_keys);
        }
        stage = 1 - stage;
    }

    #pragma unroll
    for (uint i = 0; i < 2; i++)
        if (own[i] < segment.len) write_row<D>(dq + query(shape, segment.start + own[i], head), sum, i, shape.scale);
}

// Queries that a tile of keys goes on by: two such steps and the tile's values fit into 48 KiB.
template <uint D>
__device__ constexpr uint queries_of_step() {
    return 2048 / D;
}

// A step of queries in shared memory.
template <uint D>
struct Step {
    real queries[queries_of_step<D>() * stride<D>()], gradients[queries_of_step<D>() * stride<D>()];
    float lse[queries_of_step<D>()], projections[queries_of_step<D>()];
};

// Begins to copy the step of one head's queries that begins with row `first` of the segment.
template <uint D>
__device__ inline void copy_queries(
    Step<D>& step, const real* q, const real* dy, const float* lse, const float* projections, const Segment& segment,
    const Shape& shape, uint first, uint head
) {
    for (uint i = threadIdx.x; i < queries_of_step<D>() * D / 8; i += THREADS) {
        const uint own = first + i / (D / 8), d = i % (D / 8) * 8, to = i / (D / 8) * stride<D>() + d;
        const size_t from = query(shape, segment.start + own, head) + d;
        begin_copy(step.queries + to, q + from, own < segment.len);
        begin_copy(step.gradients + to, dy + from, own < segment.len);
    }
    if (threadIdx.x < queries_of_step<D>()) {
        const uint own = first + threadIdx.x, from = (segment.start + own) * shape.heads + head;
        begin_copy(step.lse + threadIdx.x, lse + from, own < segment.len);
        begin_copy(step.projections + threadIdx.x, projections + from, own < segment.len);
    }
}

// dk and dv: from the rows of the tile's own segment, then from the segments that have some of it in their prefix, in order. Blocks
// in y are key heads. Scores are [keys, queries] here.
template <uint D>
__device__ inline void backward_keys(
    real* dk, real* dv, const float* projections, const real* dy, const float* lse, const real* q, const real* k,
    const real* v, const Segment* segments, const Tile* tiles, const Shape& shape
) {
    const uint QUERIES = queries_of_step<D>();
    __shared__ __align__(16) real values[TILE * stride<D>()];
    __shared__ __align__(16) Step<D> steps[2];
    static_assert(sizeof(values) + sizeof(steps) <= SHARED_BYTES);
    const Tile tile = tiles[blockIdx.x];
    const Segment home = segments[tile.segment];
    const uint kv_head = blockIdx.y, group = shape.heads / shape.kv_heads;
    const uint first_row = home.start + tile.first, end_row = min(first_row + TILE, home.start + home.len);
    // This lane's two keys.
    const uint rows[2] = {first_row + own_row(), first_row + own_row() + 8};

    for (uint i = threadIdx.x; i < TILE * D / 8; i += THREADS) {
        const uint row = first_row + i / (D / 8), d = i % (D / 8) * 8;
        begin_copy(values + i / (D / 8) * stride<D>() + d, v + key(shape, row, kv_head) + d, row < end_row);
    }
    uint keys[D / 16][4];
    #pragma unroll
    for (uint i = 0; i < 2; i++) read_row<D>(keys, i, k + key(shape, rows[i], kv_head), rows[i] < end_row);

    float dk_sum[D / 8][4] = {}, dv_sum[D / 8][4] = {};
    for (uint s = tile.segment; s < home.family_end; s++) {
        const Segment segment = segments[s];
        // The rows that all queries of this segment see, or its own; a row stands at position row + offset.
        const bool is_home = s == tile.segment;
        const uint from = is_home ? segment.start : segment.prefix_start;
        const uint to = is_home ? segment.start + segment.len : segment.prefix_start + segment.prefix_len;
        const uint offset = is_home ? segment.prefix_len - segment.start : 0 - segment.prefix_start;
        if (to <= first_row || from >= end_row) continue;
        // The queries that see any of the tile, counted in the segment.
        const uint last = min(to, end_row) - 1 + offset, first = is_home ? tile.first : 0;
        const uint behind = max(last + shape.window, segment.prefix_len) - segment.prefix_len;
        const uint end = shape.window > 0 ? min(segment.len, behind) : segment.len;
        const uint n_steps = (end - first + QUERIES - 1) / QUERIES * group;
        if (n_steps == 0) continue;

        __syncthreads();  // all have read the former segment's queries
        copy_queries<D>(steps[0], q, dy, lse, projections, segment, shape, first, kv_head * group);
        for (uint i = 0; i < n_steps; i++) {
            wait_for_copies();
            __syncthreads();  // this step's queries are there, and all have read the former ones
            if (i + 1 < n_steps)
                copy_queries<D>(
                    steps[(i + 1) % 2], q, dy, lse, projections, segment, shape, first + (i + 1) / group * QUERIES,
                    kv_head * group + (i + 1) % group
                );
            const Step<D>& step = steps[i % 2];

            #pragma unroll
            for (uint n = 0; n < QUERIES / 16; n++) {
                const real* queries = step.queries + 16 * n * stride<D>();
                const real* gradients = step.gradients + 16 * n * stride<D>();
                float p[2][4] = {}, ds[2][4] = {};
                multiply_rows<D>(p, keys, queries);
                #pragma unroll
                for (uint d = 0; d < D / 16; d++) {
                    uint value[4], gradient[4];
                    read_matrix<D>(value, values + 16 * warp() * stride<D>() + 16 * d);
                    read_matrix<D>(gradient, gradients + 16 * d);
                    multiply(ds[0], value, gradient[0], gradient[2]);
                    multiply(ds[1], value, gradient[1], gradient[3]);
                }
                #pragma unroll
                for (uint h = 0; h < 2; h++) {
                    #pragma unroll
                    for (uint j = 0; j < 4; j++) {
                        const uint row = rows[j / 2], column = 16 * n + 8 * h + own_column() + j % 2;
                        const uint position = segment.prefix_len + first + i / group * QUERIES + column;
                        const bool visible = row >= from && row < to && sees(shape, position, row + offset);
                        const Pair both =
                            pair(shape, p[h][j], ds[h][j], step.lse[column], step.projections[column], visible);
                        p[h][j] = both.p;
                        ds[h][j] = both.ds;
                    }
                }
                uint packed[4];
                pack_matrix(packed, p[0], p[1]);
                multiply_columns<D>(dv_sum, packed, gradients);
                pack_matrix(packed, ds[0], ds[1]);
                multiply_columns<D>(dk_sum, packed, queries);
            }
        }
    }

    #pragma unroll
    for (uint i = 0; i < 2; i++) {
        if (rows[i] >= end_row) continue;
        const size_t at = key(shape, rows[i], kv_head);
        write_row<D>(dk + at, dk_sum, i, shape.scale);
        write_row<D>(dv + at, dv_sum, i, 1.0f);
    }
}

extern "C" __global__ void attention_backward_queries_64(
    real* dq, float* projections, const real* dy, const real* y, const float* lse, const real* q, const real* k,
    const real* v, const Segment* segments, const Tile* tiles, Shape shape
) {
    backward_queries<64>(dq, projections, dy, y, lse, q, k, v, segments, tiles, shape);
}

extern "C" __global__ void attention_backward_queries_128(
    real* dq, float* projections, const real* dy, const real* y, const float* lse, const real* q, const real* k,
    const real* v, const Segment* segments, const Tile* tiles, Shape shape
) {
    backward_queries<128>(dq, projections, dy, y, lse, q, k, v, segments, tiles, shape);
}

extern "C" __global__ void attention_backward_keys_64(
    real* dk, real* dv, const float* projections, const real* dy, const float* lse, const real* q, const real* k,
    const real* v, const Segment* segments, const Tile* tiles, Shape shape
) {
    backward_keys<64>(dk, dv, projections, dy, lse, q, k, v, segments, tiles, shape);
}

extern "C" __global__ void attention_backward_keys_128(
    real* dk, real* dv, const float* projections, const real* dy, const float* lse, const real* q, const real* k,
    const real* v, const Segment* segments, const Tile* tiles, Shape shape
) {
    backward_keys<128>(dk, dv, projections, dy, lse, q, k, v, segments, tiles, shape);
}

#endif
