// What the versions of attention share: segments, the shape, where rows lie and what they see.

struct Segment {
    uint start, len;                // rows that see each other causally
    uint prefix_start, prefix_len;  // rows before them, which all of them see
    uint family_end;                // the segment after the last one that may have this one's rows as its prefix
};

struct Shape {
    uint rows, heads, kv_heads, head_dim;
    float scale, cap;  // a cap of 0 is none
    uint window;       // positions that a row sees, its own included; 0 is no bound
};

__device__ inline size_t query(const Shape& shape, uint row, uint head) {
    return ((size_t)row * shape.heads + head) * shape.head_dim;
}

__device__ inline size_t key(const Shape& shape, uint row, uint kv_head) {
    return ((size_t)row * shape.kv_heads + kv_head) * shape.head_dim;
}

// The row at a position: positions count from the start of the prefix.
__device__ inline uint row_at(const Segment& segment, uint position) {
    return position < segment.prefix_len ? segment.prefix_start + position
                                         : segment.start + position - segment.prefix_len;
}

__device__ inline uint first_visible(const Shape& shape, uint position) {
    return shape.window > 0 && position + 1 > shape.window ? position + 1 - shape.window : 0;
}
