;; expect: accepted probe/gradient run/trap
;; note: realloc grows memory for every list
;; slot realloc
(drop (memory.grow (i32.const 1))) (call $bump (local.get $bytes))
