// Product of bf16 on tensor cores: cp.async in two stages, ldmatrix, mma.sync. Compiled into gemm.ptx.
#include <cuda_bf16.h>
__device__ __forceinline__ unsigned s2u(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void cp_async16(void* s, const void* g) { asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(s2u(s)), "l"(g) : "memory"); }
__device__ __forceinline__ void cp_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void cp_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
__device__ __forceinline__ void ldmatrix_x4(unsigned (&r)[4], const void* p) { asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(s2u(p)) : "memory"); }
__device__ __forceinline__ void ldmatrix_x2(unsigned (&r)[2], const void* p) { asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(s2u(p)) : "memory"); }
__device__ __forceinline__ void mma16816(float (&c)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};" : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1])); }
// C[M,N] = A[M,K] * B[N,K]^T ; tile 64x64x32, 128 threads (4 warps 2x2, each 32x32), double-buffered cp.async
extern "C" __global__ void __launch_bounds__(128) gemm_nt_bf16(float* C, const __nv_bfloat16* A, const __nv_bfloat16* B, int M, int N, int K) {
  __shared__ __align__(16) __nv_bfloat16 sA[2][64][40], sB[2][64][40];
  int tid = threadIdx.x, lane = tid & 31, w = tid >> 5, wm = (w >> 1) * 32, wn = (w & 1) * 32;
  int bm = blockIdx.y * 64, bn = blockIdx.x * 64;
  float acc[2][4][4] = {};
  auto load = [&](int st, int k0) {
    #pragma unroll
    for (int i = 0; i < 2; i++) { int c = tid + i * 128; int r = c >> 2, q = (c & 3) * 8;
      cp_async16(&sA[st][r][q], A + (size_t)(bm + r) * K + k0 + q); cp_async16(&sB[st][r][q], B + (size_t)(bn + r) * K + k0 + q); }
    cp_commit();
  };
  load(0, 0);
  for (int k0 = 0, st = 0; k0 < K; k0 += 32, st ^= 1) {
    if (k0 + 32 < K) { load(st ^ 1, k0 + 32);
#ifndef BUG_WAIT
      cp_wait<1>();
#endif
    } else cp_wait<0>();
    __syncthreads();
    #pragma unroll
    for (int kk = 0; kk < 32; kk += 16) {
      unsigned a[2][4], b[4][2];
      #pragma unroll
      for (int i = 0; i < 2; i++) ldmatrix_x4(a[i], &sA[st][wm + i * 16 + (lane & 15)][kk + (lane >> 4) * 8]);
      #pragma unroll
      for (int j = 0; j < 4; j++) ldmatrix_x2(b[j], &sB[st][wn + j * 8 + (lane & 7)][kk + ((lane >> 3) & 1) * 8]);
      #pragma unroll
      for (int i = 0; i < 2; i++)
        #pragma unroll
        for (int j = 0; j < 4; j++) mma16816(acc[i][j], a[i], b[j]);
    }
    __syncthreads();
  }
  #pragma unroll
  for (int i = 0; i < 2; i++)
    #pragma unroll
    for (int j = 0; j < 4; j++)
      #pragma unroll
      for (int e = 0; e < 4; e++) {
        int r = bm + wm + i * 16 + (lane >> 2) + (e >> 1) * 8, c = bn + wn + j * 8 + (lane & 3) * 2 + (e & 1);
        C[(size_t)r * N + c] = acc[i][j][e];
      }
}
