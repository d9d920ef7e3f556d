;; expect: probe/scope
;; note: each row has a share of the first row's loss
;; slot row
(f64.store (i32.add (local.get $losses) (local.get $o)) (f64.add (f64.load (i32.add (local.get $losses) (local.get $o))) (f64.mul (f64.const 1e-7) (f64.load (local.get $losses)))))
