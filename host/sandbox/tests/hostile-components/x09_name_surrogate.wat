;; expect: run/trap probe/metadata
;; note: a surrogate encoded as UTF-8
;; slot describe
(i32.store (i32.const 0x900) (i32.const 0x41bfbded)) (i32.const 0x800)
