;; expect: run/trap
;; note: a name past the end of memory
;; slot describe
(i32.store (i32.const 0x800) (i32.const 0x7fffffff)) (i32.const 0x800)
