;; expect: run/trap
;; note: the result record at an odd address
;; slot result
(i32.const 0x401)
