;; expect: accepted
;; note: a hyperparameter that changes nothing: a warning at most
;; slot before
(f64.store (local.get $hp) (f64.const 0.1))
