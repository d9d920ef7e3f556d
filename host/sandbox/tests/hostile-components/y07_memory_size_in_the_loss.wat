;; expect: probe/scope probe/gradient accepted
;; note: the loss depends on how far memory has grown
;; slot row
(f64.store (i32.add (local.get $losses) (local.get $o)) (f64.add (f64.load (i32.add (local.get $losses) (local.get $o))) (f64.mul (f64.const 1e-3) (f64.convert_i32_u (memory.size)))))
