;; expect: run/trap
;; note: an integer divided by zero
;; slot before
(drop (i32.div_u (i32.const 1) (i32.sub (local.get $n) (local.get $n))))
