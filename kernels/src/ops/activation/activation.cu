// The activation of a feed-forward layer, element by element: y = f(x) and dx = dy·f′(x).
//
// All real [n], s bytes each; one thread per element. `curve` names f as in `curve.cuh`.
// Bytes: 2·s·n forward, 3·s·n backward. FLOPs: about 10 to 30 per element, below what the bytes leave room for.

extern "C" __global__ void activation_forward(real* y, const real* x, size_t n, uint curve) {
    const size_t i = element();
    if (i >= n) return;
    y[i] = store(curve_at(load(x[i]), curve).value);
}

extern "C" __global__ void activation_backward(real* dx, const real* dy, const real* x, size_t n, uint curve) {
    const size_t i = element();
    if (i >= n) return;
    dx[i] = store(load(dy[i]) * curve_at(load(x[i]), curve).slope);
}
