;; expect: run/trap
;; note: a list of f64 at an odd address
;; slot result
(i32.store (i32.const 0x404) (i32.const 0x1001)) (i32.const 0x400)
