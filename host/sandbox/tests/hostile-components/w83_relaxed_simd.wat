;; expect: component/proposals
;; note: relaxed SIMD: results differ between machines
;; slot before
(drop (f64x2.relaxed_madd (v128.const f64x2 1 2) (v128.const f64x2 3 4) (v128.const f64x2 5 6)))
