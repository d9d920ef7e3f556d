// AdamW over one group of the flat parameter buffer, with f32 masters: θ ← θ·(1 − lr·λ) − step_size·m/(√v/correction + ε).
//
// parameters, first, second and gradients f32 [n]; copy real [n], the parameters as the products read them, or null where
// they read the masters; factor f32 [1], what clipping multiplies the gradients with. The scalars are formed on the host and
// lie in memory, because they are another step's where the launch is the same.
// One thread per element. Bytes: 28·n, and s·n for the copy. FLOPs: 14·n.

struct Factors {
    float keep;         // 1 − lr·λ
    float new_first;    // 1 − β₁
    float keep_second;  // β₂
    float new_second;   // 1 − β₂
    float step_size;    // lr/(1 − β₁ᵗ)
    float correction;   // √(1 − β₂ᵗ)
    float epsilon;
};

extern "C" __global__ void adamw_step(
    float* parameters, float* first, float* second, const float* gradients, const float* factor, real* copy,
    const Factors* scalars, size_t n
) {
    const size_t i = element();
    if (i >= n) return;
    const Factors factors = *scalars;
    const float g = *factor * gradients[i];
    const float m = first[i] + factors.new_first * (g - first[i]);
    const float v = factors.keep_second * second[i] + factors.new_second * g * g;
    const float denominator = sqrtf(v) / factors.correction + factors.epsilon;
    const float parameter = parameters[i] * factors.keep - factors.step_size * (m / denominator);
    first[i] = m;
    second[i] = v;
    parameters[i] = parameter;
    if (copy) copy[i] = store(parameter);
}
