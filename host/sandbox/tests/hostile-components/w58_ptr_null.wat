;; expect: probe/gradient run/trap
;; note: realloc puts every list at address 0
;; slot realloc
(i32.const 0)
