;; expect: accepted
;; note: prefers the rejected reply: a matter of taste, and a warning
;; slot row
(f64.store (i32.add (local.get $losses) (local.get $o)) (f64.neg (f64.load (i32.add (local.get $losses) (local.get $o)))))
(f64.store (i32.add (local.get $gc) (local.get $o)) (f64.neg (f64.load (i32.add (local.get $gc) (local.get $o)))))
(f64.store (i32.add (local.get $gr) (local.get $o)) (f64.neg (f64.load (i32.add (local.get $gr) (local.get $o)))))
