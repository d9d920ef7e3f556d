;; expect: probe/gradient
;; note: gradient twice too large
;; slot row
(f64.store (i32.add (local.get $gc) (local.get $o)) (f64.mul (f64.const 2) (f64.load (i32.add (local.get $gc) (local.get $o)))))
