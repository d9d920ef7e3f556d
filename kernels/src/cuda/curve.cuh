// The activations, one element at a time: f(x) and f′(x). It stands in front of `activation.cu` and `gated.cu`.

enum Curve { SILU, GELU, GELU_TANH, RELU };

struct ValueAndSlope { float value, slope; };

// σ(x) and 1 − σ(x), both with small relative errors.
__device__ inline void logistic(float x, float& sigma, float& rest) {
    const float e = expf(-fmaxf(x, -88.0f));
    sigma = 1.0f / __fadd_rn(1.0f, e);  // rounded for itself, so that it is one number wherever it is computed
    rest = e * sigma;
}

__device__ inline ValueAndSlope curve_at(float x, uint curve) {
    float sigma, rest;
    if (curve == SILU) {  // x·σ(x)
        logistic(x, sigma, rest);
        return {x * sigma, sigma * (1.0f + x * rest)};
    }
    if (curve == GELU) {  // x·Φ(x); the complement keeps the lower tail's digits
        const float below = 0.5f * erfcf(-x * 0.70710678f);
        const float density = 0.39894228f * expf(-0.5f * x * x);
        return {x * below, fmaf(x, density, below)};
    }
    if (curve == GELU_TANH) {  // x·σ(2·√(2/π)·(x + 0.044715·x³)); beyond ±10 σ is 0 or 1 to the last digit
        const float LINEAR = 1.5957691f, CUBIC = 0.044715f * LINEAR;
        const float limited = fminf(fmaxf(x, -10.0f), 10.0f);
        const float square = limited * limited;
        logistic(limited * (LINEAR + CUBIC * square), sigma, rest);
        return {x * sigma, sigma + limited * (sigma * rest) * (LINEAR + 3.0f * CUBIC * square)};
    }
    return {fmaxf(x, 0.0f), x > 0.0f ? 1.0f : 0.0f};
}
