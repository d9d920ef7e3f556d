;; expect: accepted
;; note: vectors of two numbers, which the world may use
;; slot items
(func $v (param v128) (result v128) (f64x2.add (local.get 0) (local.get 0)))
