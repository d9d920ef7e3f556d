;; expect: run/trap
;; note: a conversion of a number that is too large for the integer
;; slot row
(drop (i32.trunc_f64_s (f64.mul (local.get $d) (f64.const 1e12))))
