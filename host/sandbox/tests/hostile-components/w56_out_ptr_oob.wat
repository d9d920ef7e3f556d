;; expect: run/trap
;; note: result pointer past the end
;; slot result
(i32.const 0xfffffff0)
