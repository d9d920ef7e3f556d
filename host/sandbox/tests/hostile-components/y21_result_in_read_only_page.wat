;; expect: run/trap
;; note: the result record at the last byte of memory
;; slot result
(i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4))
