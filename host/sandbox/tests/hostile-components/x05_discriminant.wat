;; expect: run/trap
;; note: neither ok nor error
;; slot result
(i32.store8 (i32.const 0x400) (i32.const 7)) (i32.const 0x400)
