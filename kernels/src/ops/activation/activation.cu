// The activation of a feed-forward layer, element by element: y = f(x) and dx = dy·f′(x).
//
// All real [n], s bytes each; one thread per 16 bytes, which it loads and stores at once where all arrays begin at whole 16
// bytes (`aligned`). `curve` names f as in `curve.cuh`.
// Bytes: 2·s·n forward, 3·s·n backward. FLOPs: about 10 to 30 per element, below what the bytes leave room for.

extern "C" __global__ void activation_forward(real* y, const real* x, size_t n, uint curve, uint aligned) {
    const size_t i = REALS * element();
    if (aligned && i + REALS <= n) {
        float values[REALS];
        load_several(values, x + i);
        #pragma unroll
        for (uint j = 0; j < REALS; j++) values[j] = curve_at(values[j], curve).value;
        store_several(y + i, values);
        return;
    }
    for (size_t j = i; j < min(i + REALS, n); j++) y[j] = store(curve_at(load(x[j]), curve).value);
}

extern "C" __global__ void activation_backward(
    real* dx, const real* dy, const real* x, size_t n, uint curve, uint aligned
) {
    const size_t i = REALS * element();
    if (aligned && i + REALS <= n) {
        float values[REALS], gradients[REALS];
        load_several(values, x + i);
        load_several(gradients, dy + i);
        #pragma unroll
        for (uint j = 0; j < REALS; j++) gradients[j] *= curve_at(values[j], curve).slope;
        store_several(dx + i, gradients);
        return;
    }
    for (size_t j = i; j < min(i + REALS, n); j++) dx[j] = store(load(dy[j]) * curve_at(load(x[j]), curve).slope);
}
