// AdamW over one group of the flat parameter buffer, with f32 masters: θ ← θ·(1 − lr·λ) − step_size·m/(√v/correction + ε).
//
// parameters, first, second and gradients f32, of which elements begin to end are the group's, n of them; copy real, the
// parameters as the products read them, or null where they read the masters; factor f32 [1], what clipping multiplies the
// gradients with. The scalars are formed on the host and lie in memory, because they are another step's where the launch is the
// same. One thread per four elements, which it loads and stores at once where the arrays begin at whole 16 bytes (`in_fours`)
// and all four are the group's. Bytes: 28·n, and s·n for the copy. FLOPs: 14·n.

struct Factors {
    float keep;         // 1 − lr·λ
    float new_first;    // 1 − β₁
    float keep_second;  // β₂
    float new_second;   // 1 − β₂
    float step_size;    // lr/(1 − β₁ᵗ)
    float correction;   // √(1 − β₂ᵗ)
    float epsilon;
};

// One element's new parameter and moments; g is its clipped gradient.
__device__ inline void update(float& parameter, float& m, float& v, float g, const Factors& factors) {
    m = m + factors.new_first * (g - m);
    v = fmaf(factors.keep_second, v, factors.new_second * g * g);
    const float denominator = sqrtf(v) / factors.correction + factors.epsilon;
    parameter = parameter * factors.keep - factors.step_size * (m / denominator);
}

typedef Several<float, 4> Four;

extern "C" __global__ void adamw_step(
    float* parameters, float* first, float* second, const float* gradients, const float* factor, real* copy,
    const Factors* scalars, size_t begin, size_t end, uint in_fours
) {
    const size_t i = begin / 4 * 4 + 4 * element();
    const Factors factors = *scalars;
    const float clipping = *factor;
    if (in_fours && i >= begin && i + 4 <= end) {
        Four parameter = *(const Four*)(parameters + i), m = *(const Four*)(first + i), v = *(const Four*)(second + i);
        const Four gradient = *(const Four*)(gradients + i);
        #pragma unroll
        for (uint j = 0; j < 4; j++)
            update(parameter.at[j], m.at[j], v.at[j], clipping * gradient.at[j], factors);
        *(Four*)(parameters + i) = parameter;
        *(Four*)(first + i) = m;
        *(Four*)(second + i) = v;
        if (copy) store_several(copy + i, parameter.at);
        return;
    }
    for (size_t j = max(i, begin); j < min(i + 4, end); j++) {
        update(parameters[j], first[j], second[j], clipping * gradients[j], factors);
        if (copy) copy[j] = store(parameters[j]);
    }
}
