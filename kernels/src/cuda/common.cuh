// What every kernel shares: the stored number, sums over a warp and a block. It stands in front of each `.cu` when that is
// compiled. No header of the toolkit is used, so that NVRTC's library is all that a machine needs.
//
// `real` is how activations and weights are stored: f32, or bf16 when BF16 is defined. Arithmetic is f32 either way, and
// gradients of weights, statistics and moments stay f32.
//
// Sums have one order that depends on the shape and the launch alone, never on timing: no float atomics.

typedef unsigned int uint;

#ifdef BF16
struct real { unsigned short bits; };

__device__ inline float load(real x) { return __uint_as_float((uint)x.bits << 16); }

// Round to nearest, ties to even.
__device__ inline real store(float x) {
    real rounded;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded.bits) : "f"(x));
    return rounded;
}

// Two neighbouring numbers, the first in the lower half.
__device__ inline uint pack(float low, float high) { return (uint)store(low).bits | (uint)store(high).bits << 16; }
#else
typedef float real;

__device__ inline float load(real x) { return x; }
__device__ inline real store(float x) { return x; }
#endif

// Numbers that one instruction loads or stores, at a whole multiple of their bytes.
template <typename T, uint N>
struct alignas(N * sizeof(T)) Several { T at[N]; };

// `load` and `store` of several neighbours at once.
template <uint N>
__device__ inline void load_several(float (&values)[N], const real* from) {
#ifdef BF16
    const Several<uint, N / 2> pairs = *(const Several<uint, N / 2>*)from;
    #pragma unroll
    for (uint i = 0; i < N / 2; i++) {
        values[2 * i] = __uint_as_float(pairs.at[i] << 16);
        values[2 * i + 1] = __uint_as_float(pairs.at[i] & 0xffff0000);
    }
#else
    const Several<float, N> all = *(const Several<float, N>*)from;
    #pragma unroll
    for (uint i = 0; i < N; i++) values[i] = all.at[i];
#endif
}

template <uint N>
__device__ inline void store_several(real* to, const float (&values)[N]) {
#ifdef BF16
    // In fours, as the compiler leaves two stores of pairs apart.
    Several<unsigned long long, N / 4> fours;
    #pragma unroll
    for (uint i = 0; i < N / 4; i++) {
        const float* four = values + 4 * i;
        fours.at[i] = pack(four[0], four[1]) | (unsigned long long)pack(four[2], four[3]) << 32;
    }
    *(Several<unsigned long long, N / 4>*)to = fours;
#else
    Several<float, N> all;
    #pragma unroll
    for (uint i = 0; i < N; i++) all.at[i] = values[i];
    *(Several<float, N>*)to = all;
#endif
}

// Of one number, wherever it lies: the same code goes through rows that do not begin at whole 16 bytes.
__device__ inline void load_several(float (&values)[1], const real* from) { values[0] = load(*from); }
__device__ inline void store_several(real* to, const float (&values)[1]) { *to = store(values[0]); }

// Neighbouring sums grow by these.
template <uint N>
__device__ inline void add_several(float* sums, const float (&values)[N]) {
    typedef Several<float, 4> Four;
    #pragma unroll
    for (uint i = 0; i < N; i += 4) {
        Four four = *(const Four*)(sums + i);
        #pragma unroll
        for (uint j = 0; j < 4; j++) four.at[j] += values[i + j];
        *(Four*)(sums + i) = four;
    }
}

__device__ inline void add_several(float* sums, const float (&values)[1]) { *sums += values[0]; }

// Numbers in 16 bytes.
enum : uint { REALS = 16 / sizeof(real) };

const uint WARP = 32;
const uint WARPS_MAX = 32;

__device__ inline float infinity() { return __int_as_float(0x7f800000); }
__device__ inline uint lane() { return threadIdx.x % WARP; }
__device__ inline uint warp() { return threadIdx.x / WARP; }

// The element of a flat array that this thread works on.
__device__ inline size_t element() { return (size_t)blockIdx.x * blockDim.x + threadIdx.x; }

template <typename T>
__device__ inline T warp_sum(T value) {
    for (uint step = WARP / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffff, value, step);
    return value;
}

__device__ inline float warp_max(float value) {
    for (uint step = WARP / 2; step > 0; step /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xffffffff, value, step));
    return value;
}

// The sum over the block, in every thread; blockDim.x is a multiple of a warp. The closing barrier lets the next
// reduction write into the same memory.
template <typename T>
__device__ inline T block_sum(T value) {
    __shared__ T of_warps[WARPS_MAX];
    value = warp_sum(value);
    if (lane() == 0) of_warps[warp()] = value;
    __syncthreads();
    value = warp_sum(lane() < blockDim.x / WARP ? of_warps[lane()] : T(0));
    __syncthreads();
    return value;
}

// The maximum over the block, in every thread.
__device__ inline float block_max(float value) {
    __shared__ float of_warps[WARPS_MAX];
    value = warp_max(value);
    if (lane() == 0) of_warps[warp()] = value;
    __syncthreads();
    value = warp_max(lane() < blockDim.x / WARP ? of_warps[lane()] : -infinity());
    __syncthreads();
    return value;
}

// Σ value(i) over i from first to end, of a block of 8 warps whose lanes have a column each: warp w takes i = first + w,
// first + w + 8, …, and the warps' sums are added in their order. The sum is the first warp's.
template <typename Value>
__device__ inline float column_sum(uint first, uint end, Value value) {
    const uint WARPS = 8;
    __shared__ float of_warps[WARPS][WARP];
    float sum = 0.0f;
    for (uint i = first + warp(); i < end; i += WARPS) sum += value(i);
    of_warps[warp()][lane()] = sum;
    __syncthreads();
    for (uint other = 1; other < WARPS; other++) sum += of_warps[other][lane()];
    return sum;
}

// cap·tanh(score/cap); a cap of 0 is none.
__device__ inline float capped(float score, float cap) { return cap > 0.0f ? cap * tanhf(score / cap) : score; }

// The slope of `capped` where it has this value: 1 − (value/cap)².
__device__ inline float cap_slope(float value, float cap) {
    const float tanh = cap > 0.0f ? value / cap : 0.0f;
    return 1.0f - tanh * tanh;
}
