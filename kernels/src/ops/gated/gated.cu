// The gated activation of a feed-forward layer (SwiGLU, GEGLU): y = f(gate)·up, dup = dy·f(gate), dgate = dy·up·f′(gate).
//
// All real [n], s bytes each; one thread per 16 bytes, which it loads and stores at once where all arrays begin at whole 16
// bytes (`aligned`). `curve` names f as in `curve.cuh`.
// Bytes: 3·s·n forward, 5·s·n backward. FLOPs: about 10 to 30 per element, below what the bytes leave room for.

extern "C" __global__ void gated_forward(
    real* y, const real* gate, const real* up, size_t n, uint curve, uint aligned
) {
    const size_t i = REALS * element();
    if (aligned && i + REALS <= n) {
        float gates[REALS], values[REALS];
        load_several(gates, gate + i);
        load_several(values, up + i);
        #pragma unroll
        for (uint j = 0; j < REALS; j++) values[j] *= curve_at(gates[j], curve).value;
        store_several(y + i, values);
        return;
    }
    for (size_t j = i; j < min(i + REALS, n); j++) y[j] = store(curve_at(load(gate[j]), curve).value * load(up[j]));
}

// The gradients of one element's gate and of its other input: `gate` and `up` become them.
__device__ inline void turn(float& gate, float& up, float gradient, uint curve) {
    const ValueAndSlope at = curve_at(gate, curve);
    gate = gradient * up * at.slope;
    up = gradient * at.value;
}

extern "C" __global__ void gated_backward(
    real* dgate, real* dup, const real* dy, const real* gate, const real* up, size_t n, uint curve,
    uint aligned
) {
    const size_t i = REALS * element();
    if (aligned && i + REALS <= n) {
        float gates[REALS], ups[REALS], gradients[REALS];
        load_several(gates, gate + i);
        load_several(ups, up + i);
        load_several(gradients, dy + i);
        #pragma unroll
        for (uint j = 0; j < REALS; j++) turn(gates[j], ups[j], gradients[j], curve);
        store_several(dgate + i, gates);
        store_several(dup + i, ups);
        return;
    }
    for (size_t j = i; j < min(i + REALS, n); j++) {
        float own_gate = load(gate[j]), own_up = load(up[j]);
        turn(own_gate, own_up, load(dy[j]), curve);
        dgate[j] = store(own_gate);
        dup[j] = store(own_up);
    }
}
