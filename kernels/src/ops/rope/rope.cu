// Rotary position embedding, in place: every head's pair (x[i], x[i + half]) turns by the angle of its row's position.
//
// x real [rows, heads, 2·half], positions [rows], cos and sin f32 [positions, half]; s bytes per real.
// One block per row. Bytes: 4·s·half·heads per row, and 8·half of the table, which heads share. FLOPs: 6·half·heads per row.

__device__ inline void rotate(
    real* x, const uint* positions, const float* cos, const float* sin, uint heads, uint half, float sign
) {
    real* row = x + (size_t)blockIdx.x * heads * 2 * half;
    const size_t angles = (size_t)positions[blockIdx.x] * half;
    for (uint pair = threadIdx.x; pair < heads * half; pair += blockDim.x) {
        const uint i = pair % half;
        real* low = row + pair / half * 2 * half + i;
        real* high = low + half;
        const float c = cos[angles + i], s = sign * sin[angles + i];
        const float l = load(*low), h = load(*high);
        *low = store(l * c - h * s);
        *high = store(h * c + l * s);
    }
}

extern "C" __global__ void rope_forward(
    real* x, const uint* positions, const float* cos, const float* sin, uint heads, uint half
) {
    rotate(x, positions, cos, sin, heads, half, 1.0f);
}

extern "C" __global__ void rope_backward(
    real* dx, const uint* positions, const float* cos, const float* sin, uint heads, uint half
) {
    rotate(dx, positions, cos, sin, heads, half, -1.0f);
}
