// What the kernels on tensor cores share, for bf16 and heads of D = 64 or 128: products of matrices in the registers of a warp
// (PTX ISA, "Matrix Fragments for mma.m16n8k16"), and rows that are copied to shared memory while others are multiplied.
//
// A block of 4 warps has a tile of 64 rows, 16 for each warp. Lane 4·g + t of a warp has to do with rows g and g + 8, and with
// columns 2t and 2t + 1 of every eight.

#ifdef BF16

const uint TILE = 64;
const uint THREADS = 128;

struct Tile {
    uint segment, first;  // the first of the tile's rows, counted in its segment
};

// Numbers from one row in shared memory to the next: 16 bytes more than a row, so that eight rows lie in different banks.
template <uint D>
__device__ constexpr uint stride() {
    return D + 8;
}

__device__ inline uint pair_at(const real* numbers) { return *(const uint*)numbers; }

// This lane's first row of the warp's 16, and its first column of every eight.
__device__ inline uint own_row() { return 16 * warp() + lane() / 4; }
__device__ inline uint own_column() { return 2 * (lane() % 4); }

// sum [16, 8] += a [16, 16]·b [16, 8]. Of b there is the upper half and the lower.
__device__ inline void multiply(float (&sum)[4], const uint (&a)[4], uint upper, uint lower) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(upper), "r"(lower)
    );
}

// The matrix [16, 16] that begins at `corner` in shared memory, as `a` of a product. As rows of bᵀ, parts 0 and 2 are b of its
// first eight rows, 1 and 3 of the others.
template <uint D>
__device__ inline void read_matrix(uint (&a)[4], const real* corner) {
    const real* row = corner + lane() % 16 * stride<D>() + lane() / 16 * 8;
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(a[0]), "=r"(a[1]), "=r"(a[2]), "=r"(a[3])
        : "r"((uint)__cvta_generic_to_shared(row))
        : "memory"
    );
}

// The same matrix as b of a product: parts 0 and 1 are its first eight columns, 2 and 3 the others.
template <uint D>
__device__ inline void read_factor(uint (&b)[4], const real* corner) {
    const real* row = corner + lane() % 16 * stride<D>() + lane() / 16 * 8;
    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
        : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
        : "r"((uint)__cvta_generic_to_shared(row))
        : "memory"
    );
}

// This lane's part of row g or, with `half` = 1, of row g + 8 of a matrix [16, D] in memory, which begins at `row`; zeros where
// there is no such row.
template <uint D>
__device__ inline void read_row(uint (&rows)[D / 16][4], uint half, const real* row, bool exists) {
    #pragma unroll
    for (uint d = 0; d < D / 16; d++) {
        rows[d][half] = exists ? pair_at(row + 16 * d + own_column()) : 0;
        rows[d][half + 2] = exists ? pair_at(row + 16 * d + 8 + own_column()) : 0;
    }
}

// Writes factor·sums into such a row.
template <uint D>
__device__ inline void write_row(real* row, const float (&sums)[D / 8][4], uint half, float factor) {
    #pragma unroll
    for (uint d = 0; d < D / 8; d++)
        *(uint*)(row + 8 * d + own_column()) = pack(factor * sums[d][2 * half], factor * sums[d][2 * half + 1]);
}

// sums [16, 16] += a [16, D]·bᵀ, with the rows of b [16, D] in shared memory.
template <uint D>
__device__ inline void multiply_rows(float (&sums)[2][4], const uint (&a)[D / 16][4], const real* b) {
    #pragma unroll
    for (uint d = 0; d < D / 16; d++) {
        uint some[4];
        read_matrix<D>(some, b + 16 * d);
        multiply(sums[0], a[d], some[0], some[2]);
        multiply(sums[1], a[d], some[1], some[3]);
    }
}

// sums [16, D] += a [16, 16]·b [16, D], with b in shared memory.
template <uint D>
__device__ inline void multiply_columns(float (&sums)[D / 8][4], const uint (&a)[4], const real* b) {
    #pragma unroll
    for (uint d = 0; d < D / 16; d++) {
        uint some[4];
        read_factor<D>(some, b + 16 * d);
        multiply(sums[2 * d], a, some[0], some[1]);
        multiply(sums[2 * d + 1], a, some[2], some[3]);
    }
}

// A sum [16, 16] as `a` of the next product.
__device__ inline void pack_matrix(uint (&a)[4], const float (&left)[4], const float (&right)[4]) {
    a[0] = pack(left[0], left[1]);
    a[1] = pack(left[2], left[3]);
    a[2] = pack(right[0], right[1]);
    a[3] = pack(right[2], right[3]);
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

__device__ inline bool sees(const Shape& shape, uint position, uint key) {
    return key >= first_visible(shape, position) && key <= position;
}

// Begins to copy 16 bytes to shared memory; zeros where there is nothing to copy.
__device__ inline void begin_copy(real* to, const real* from, bool exists) {
    const uint bytes = exists ? 16 : 0;
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::
        "r"((uint)__cvta_generic_to_shared(to)), "l"(__cvta_generic_to_global(from)), "r"(bytes)
        : "memory"
    );
}

// The same for 4 bytes.
__device__ inline void begin_copy(float* to, const float* from, bool exists) {
    const uint bytes = exists ? 4 : 0;
    asm volatile(
        "cp.async.ca.shared.global [%0], [%1], 4, %2;" ::
        "r"((uint)__cvta_generic_to_shared(to)), "l"(__cvta_generic_to_global(from)), "r"(bytes)
        : "memory"
    );
}

// Until all that this thread began to copy is there; for what others copy, a barrier has to follow.
__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Keys that a tile of queries goes on by: two such steps of keys and values fit into 48 KiB.
template <uint D>
__device__ constexpr uint keys_of_step() {
    return 4096 / D;
}

// Shared memory that a block has without asking, in bytes.
const uint SHARED_BYTES = 48 << 10;

// Begins to copy the keys and values of one head that stand at `first` and behind it, `last` at the furthest.
template <uint D>
__device__ inline void copy_keys(
    real* keys, real* values, const real* k, const real* v, const Segment& segment, const Shape& shape, uint first,
    uint last, uint kv_head
) {
    for (uint i = threadIdx.x; i < keys_of_step<D>() * D / 8; i += THREADS) {
        const uint position = first + i / (D / 8), d = i % (D / 8) * 8, to = i / (D / 8) * stride<D>() + d;
        const size_t from = key(shape, row_at(segment, position), kv_head) + d;
        begin_copy(keys + to, k + from, position <= last);
        begin_copy(values + to, v + from, position <= last);
    }
}

#endif
