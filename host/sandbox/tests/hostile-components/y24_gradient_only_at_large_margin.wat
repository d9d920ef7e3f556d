;; expect: probe/gradient
;; note: the gradient is wrong by a tenth where the loss is large
;; slot row
(if (f64.gt (f64.load (i32.add (local.get $losses) (local.get $o))) (f64.const 5))
  (then (f64.store (i32.add (local.get $gc) (local.get $o)) (f64.mul (f64.const 1.1) (f64.load (i32.add (local.get $gc) (local.get $o)))))
        (f64.store (i32.add (local.get $gr) (local.get $o)) (f64.mul (f64.const 1.1) (f64.load (i32.add (local.get $gr) (local.get $o)))))))
