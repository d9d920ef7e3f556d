;; expect: probe/metadata
;; note: a default that is not a number
;; slot describe
(i64.store (i32.const 0x848) (i64.const 0x7ff8000000000000)) (i32.const 0x800)
