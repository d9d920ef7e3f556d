// The residual connection: stream += branch. Its backward is the same addition of gradients.
//
// Both real [n], s bytes each; one thread per element. Bytes: 3·s·n. FLOPs: n.

extern "C" __global__ void residual_add(real* stream, const real* branch, size_t n) {
    const size_t i = element();
    if (i >= n) return;
    stream[i] = store(load(stream[i]) + load(branch[i]));
}
