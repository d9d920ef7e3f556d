;; expect: probe/deterministic
;; note: the sign of a NaN decides: engines differ
;; slot row
(if (i64.lt_s (i64.reinterpret_f64 (f64.div (f64.sub (local.get $d) (local.get $d)) (f64.const 0))) (i64.const 0))
  (then (f64.store (i32.add (local.get $losses) (local.get $o)) (f64.add (f64.load (i32.add (local.get $losses) (local.get $o))) (f64.const 1)))))
