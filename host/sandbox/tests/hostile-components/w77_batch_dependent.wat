;; expect: probe/scope
;; note: the loss of a pair depends on its index in the batch
;; slot row
(f64.store (i32.add (local.get $losses) (local.get $o)) (f64.add (f64.load (i32.add (local.get $losses) (local.get $o))) (f64.convert_i32_u (local.get $i))))
