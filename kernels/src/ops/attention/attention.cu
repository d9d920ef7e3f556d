// Causal attention with grouped queries over packed rows, where a prefix may be shared: the exact version, one warp per row
// and head, for parity and for cards without bf16 tensor cores. Online softmax: no scores are kept, only lse per row and head.
//
// s = cap(scale·q·k), lse = ln Σ exp s, p = exp(s − lse), y = Σ p·v; ds = p·(dy·v − dy·y)·cap′, dq = scale·Σ ds·k,
// dk = scale·Σ ds·q, dv = Σ p·dy.
//
// q, y, dy and dq real [rows, heads, head_dim], k, v, dk and dv real [rows, kv_heads, head_dim], lse and projections f32
// [rows, heads]; head_dim is 256 at most. `segments` is [segments] of `Segment` (see `attention.cuh`), segment_of [rows] says which one is a row's.
// With n pairs of a row and a key that it sees, and d = head_dim, per head: forward 4·n·d FLOPs, backward 10·n·d here
// (scores and dy·v are computed for dq and again for dk and dv: 14·n·d). Bytes: every pair reads a key and a value, 2·s·n·d,
// mostly from the caches; at least each tensor once.

const uint PARTS = 8;  // elements of a head per lane: 256/32

// A lane's elements of a head: element lane + 32·i at index i, 0 beyond the head.
struct Head {
    float part[PARTS];
};

__device__ inline Head read(const real* head, uint head_dim) {
    Head parts;
    #pragma unroll
    for (uint i = 0; i < PARTS; i++) {
        const uint d = lane() + WARP * i;
        parts.part[i] = d < head_dim ? load(head[d]) : 0.0f;
    }
    return parts;
}

__device__ inline void write(real* head, const Head& parts, float factor, uint head_dim) {
    #pragma unroll
    for (uint i = 0; i < PARTS; i++) {
        const uint d = lane() + WARP * i;
        if (d < head_dim) head[d] = store(factor * parts.part[i]);
    }
}

__device__ inline float dot(const Head& a, const Head& b) {
    float sum = 0.0f;
    #pragma unroll
    for (uint i = 0; i < PARTS; i++) sum += a.part[i] * b.part[i];
    return warp_sum(sum);
}

// sum += factor·x
__device__ inline void add(Head& sum, float factor, const Head& x) {
    #pragma unroll
    for (uint i = 0; i < PARTS; i++) sum.part[i] += factor * x.part[i];
}

__device__ inline Head zero() {
    Head parts;
    #pragma unroll
    for (uint i = 0; i < PARTS; i++) parts.part[i] = 0.0f;
    return parts;
}

// The row and head that this warp works on, of `heads` heads each.
struct Task { uint row, head; };

__device__ inline Task task(uint heads) {
    const uint index = blockIdx.x * (blockDim.x / WARP) + warp();
    return {index / heads, index % heads};
}

extern "C" __global__ void attention_forward(
    real* y, float* lse, const real* q, const real* k, const real* v, const Segment* segments,
    const uint* segment_of, Shape shape
) {
    const Task task = ::task(shape.heads);
    if (task.row >= shape.rows) return;
    const Segment segment = segments[segment_of[task.row]];
    const uint position = segment.prefix_len + task.row - segment.start;
    const uint kv_head = task.head / (shape.heads / shape.kv_heads);
    const Head own = read(q + query(shape, task.row, task.head), shape.head_dim);

    float largest = -infinity(), sum = 0.0f;
    Head mean = zero();
    for (uint p = first_visible(shape, position); p <= position; p++) {
        const size_t at = key(shape, row_at(segment, p), kv_head);
        const float score = capped(shape.scale * dot(own, read(k + at, shape.head_dim)), shape.cap);
        const float former = largest;
        largest = fmaxf(largest, score);
        const float shrink = expf(former - largest), weight = expf(score - largest);
        sum = sum * shrink + weight;
        #pragma unroll
        for (uint i = 0; i < PARTS; i++) mean.part[i] *= shrink;
        add(mean, weight, read(v + at, shape.head_dim));
    }
    write(y + query(shape, task.row, task.head), mean, 1.0f / sum, shape.head_dim);
    if (lane() == 0) lse[task.row * shape.heads + task.head] = largest + logf(sum);
}

// dq, and the projections dy·y that dk and dv need.
extern "C" __global__ void attention_backward_queries(
    real* dq, float* projections, const real* dy, const real* y, const float* lse, const real* q, const real* k,
    const real* v, const Segment* segments, const uint* segment_of, Shape shape
) {
    const Task task = ::task(shape.heads);
    if (task.row >= shape.rows) return;
    const Segment segment = segments[segment_of[task.row]];
    const uint position = segment.prefix_len + task.row - segment.start;
    const uint kv_head = task.head / (shape.heads / shape.kv_heads);
    const size_t at = query(shape, task.row, task.head);
    const Head own = read(q + at, shape.head_dim), gradient = read(dy + at, shape.head_dim);
    const float projection = dot(gradient, read(y + at, shape.head_dim));
    const float row_lse = lse[task.row * shape.heads + task.head];

    Head sum = zero();
    for (uint p = first_visible(shape, position); p <= position; p++) {
        const size_t at = key(shape, row_at(segment, p), kv_head);
        const Head its = read(k + at, shape.head_dim);
        const float score = capped(shape.scale * dot(own, its), shape.cap);
        const float dp = dot(gradient, read(v + at, shape.head_dim));
        const float ds = expf(score - row_lse) * (dp - projection) * cap_slope(score, shape.cap);
        add(sum, ds, its);
    }
    write(dq + at, sum, shape.scale, shape.head_dim);
    if (lane() == 0) projections[task.row * shape.heads + task.head] = projection;
}

// dk and dv of one row and key head: from the rows of its own segment after it, then from the segments that have it in
// their prefix, in order.
extern "C" __global__ void attention_backward_keys(
    real* dk, real* dv, const float* projections, const real* dy, const float* lse, const real* q, const real* k,
    const real* v, const Segment* segments, const uint* segment_of, Shape shape
) {
    const Task task = ::task(shape.kv_heads);
    if (task.row >= shape.rows) return;
    const uint group = shape.heads / shape.kv_heads;
    const size_t at = key(shape, task.row, task.head);
    const Head its = read(k + at, shape.head_dim), value = read(v + at, shape.head_dim);
    const uint own = segment_of[task.row], family_end = segments[own].family_end;

    Head dk_sum = zero(), dv_sum = zero();
    for (uint s = own; s < family_end; s++) {
        const Segment segment = segments[s];
        // Where the key stands in this segment, and the first row that sees it.
        uint position, first;
        if (s == own) {
            position = segment.prefix_len + task.row - segment.start;
            first = task.row;
        } else if (task.row >= segment.prefix_start && task.row < segment.prefix_start + segment.prefix_len) {
            position = task.row - segment.prefix_start;
            first = segment.start;
        } else {
            continue;
        }
        for (uint row = first; row < segment.start + segment.len; row++) {
            if (first_visible(shape, segment.prefix_len + row - segment.start) > position) break;
            for (uint head = task.head * group; head < (task.head + 1) * group; head++) {
                const size_t from = query(shape, row, head);
                const Head asker = read(q + from, shape.head_dim), gradient = read(dy + from, shape.head_dim);
                const float score = capped(shape.scale * dot(asker, its), shape.cap);
                const float p = expf(score - lse[row * shape.heads + head]);
                const float dp = dot(gradient, value);
                const float ds = p * (dp - projections[row * shape.heads + head]) * cap_slope(score, shape.cap);
                add(dk_sum, ds, asker);
                add(dv_sum, p, gradient);
            }
        }
    }
    write(dk + at, dk_sum, shape.scale, shape.head_dim);
    write(dv + at, dv_sum, 1.0f, shape.head_dim);
}
