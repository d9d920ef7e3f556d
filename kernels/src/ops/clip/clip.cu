// The global norm of all gradients, and the factor that clips it.
//
// values f32 [n], partials f64 [blocks]. Squares and their sums are f64, in an order that depends on n alone.
// Squares, a fixed number of blocks, each over one stretch. Bytes: 4·n. FLOPs: 2·n in f64, below what the bytes leave room
// for.

extern "C" __global__ void clip_squares(double* partials, const float* values, size_t n, size_t per_block) {
    const size_t first = blockIdx.x * per_block;
    const size_t end = min(first + per_block, n);
    double sum = 0.0;
    for (size_t i = first + threadIdx.x; i < end; i += blockDim.x) sum += (double)values[i] * values[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

// One block: norm = √Σ partials, and factor = min(1, maximum/(norm + 10⁻⁶)) as in PyTorch.
extern "C" __global__ void clip_norm(
    double* norm, float* factor, const double* partials, uint blocks, double maximum
) {
    double sum = 0.0;
    for (uint i = threadIdx.x; i < blocks; i += blockDim.x) sum += partials[i];
    sum = sqrt(block_sum(sum));
    if (threadIdx.x > 0) return;
    *norm = sum;
    const double share = maximum / (sum + 1e-6);
    *factor = share < 1.0 ? (float)share : 1.0f;
}
