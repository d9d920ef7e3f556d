// The gated activation of a feed-forward layer (SwiGLU, GEGLU): y = f(gate)·up, dup = dy·f(gate), dgate = dy·up·f′(gate).
//
// All real [n], s bytes each; one thread per element. `curve` names f as in `curve.cuh`.
// Bytes: 3·s·n forward, 5·s·n backward. FLOPs: about 10 to 30 per element, below what the bytes leave room for.

extern "C" __global__ void gated_forward(real* y, const real* gate, const real* up, size_t n, uint curve) {
    const size_t i = element();
    if (i >= n) return;
    y[i] = store(curve_at(load(gate[i]), curve).value * load(up[i]));
}

extern "C" __global__ void gated_backward(
    real* dgate, real* dup, const real* dy, const real* gate, const real* up, size_t n, uint curve
) {
    const size_t i = element();
    if (i >= n) return;
    const ValueAndSlope at = curve_at(load(gate[i]), curve);
    const float gradient = load(dy[i]);
    dgate[i] = store(gradient * load(up[i]) * at.slope);
    dup[i] = store(gradient * at.value);
}
