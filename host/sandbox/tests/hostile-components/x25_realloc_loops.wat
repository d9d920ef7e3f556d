;; expect: run/fuel
;; note: realloc loops
;; slot realloc
(loop $x (br $x)) (i32.const 0)
